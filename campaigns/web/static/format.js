// How numbers are written for people: the same as campaigns/web/templating.py.

const SPACE = "\u00a0"; // a number and its unit stay on one line

export const whole = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en-US"));
export const percent = (value) => (value == null ? "–" : `${(value * 100).toFixed(1)}${SPACE}%`);

export function milliseconds(value) {
  if (value == null) return "–";
  return value < 1000 ? `${value.toFixed(0)}${SPACE}ms` : `${(value / 1000).toFixed(2)}${SPACE}s`;
}

export function duration(value) {
  if (value == null) return "–";
  const seconds = Math.floor(value);
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 60) return `${seconds}${SPACE}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${SPACE}min ${two(seconds % 60)}${SPACE}s`;
  return `${Math.floor(seconds / 3600)}${SPACE}h ${two(Math.floor((seconds % 3600) / 60))}${SPACE}min`;
}

export function abandonmentLevel(spent) {
  if (spent.over) return "bad";
  return spent.calls_left === 0 && spent.met ? "warn" : "good";
}

export function abandonmentWords(spent) {
  const detector = spent.mistaken ? `; ${spent.mistaken} lost to the machine detector` : "";
  return leftInWords(spent) + detector;
}

function leftInWords(spent) {
  if (!(spent.abandoned + spent.met)) return "○ nobody has answered yet";
  if (spent.over) return `▲ above the ceiling until ${spent.to_meet} more people were met`;
  if (spent.calls_left === 0) return `■ none to spare until ${spent.to_meet} more people were met`;
  if (spent.calls_left == null) return "✓ no ceiling";
  return `✓ ${spent.calls_left} more may be abandoned (${spent.abandoned} so far)`;
}

// The reason of a pace without the number it opens with, which stands beside it in large.
export const because = (why) => why.replace(/^\d+: /, "");

export const clock = (date) => date.toLocaleTimeString([], { hourCycle: "h23", timeZoneName: "short" });
