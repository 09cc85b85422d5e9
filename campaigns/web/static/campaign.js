// One campaign, live.

import { Chart } from "./chart.js";
import { abandonmentLevel, abandonmentWords, because, duration, milliseconds, percent, whole } from "./format.js";
import { follow, make, replace, sign, withCode, write } from "./live.js";
import { showSystem } from "./system.js";

const LONG = [60, 300]; // seconds in one state after which a row is shaded, and shaded strongly
const name = document.getElementById("campaign").dataset.name;
const words = await (await fetch("/words.json")).json();
const chart = new Chart(document.getElementById("chart"));

const PARTS = { pool: "", standby: "standby, ", removed: "taken out, " };

// The tile has room for a few words; the sentence with the reason is shown on hover, as at first by the server.
function partWords(part) {
  return PARTS[part.role] + (part.state === "ok" ? `${part.busy} of ${part.lines} busy` : part.state);
}

function partSentence(part) {
  const since = part.since ? ` since ${new Date(part.since).toISOString().slice(11, 19)} UTC` : "";
  const why = part.why ? `: ${part.why}` : "";
  const lines = `${part.busy} of ${part.lines} lines busy`;
  const calls = `${part.calls} call${part.calls === 1 ? "" : "s"}`;
  const unseen = part.state === "out of use" && part.calls ? ` out of sight, ${part.counted} counted as lines in use` : "";
  return `${PARTS[part.role]}${part.state}${since}${why}; ${calls}${unseen}, ${lines}`;
}

function showTexts(campaign) {
  const { abandonment, calls, contacts, lines, pace, today } = campaign;
  write(document, {
    mode: campaign.mode,
    abandonment_window: abandonment.window.name,
    abandonment_rate: percent(abandonment.rate),
    abandonment_ceiling: percent(abandonment.ceiling),
    abandonment_left: abandonmentWords(abandonment),
    agents_at_work: campaign.agents.total - (campaign.agents.by_state.out ?? 0),
    agents_total: campaign.agents.total,
    calls_open: calls.ordered + calls.ringing + calls.waiting + calls.talking + calls.message + calls.ending,
    calls_ordered: calls.ordered,
    calls_ringing: calls.ringing,
    calls_waiting: calls.waiting,
    calls_talking: calls.talking,
    calls_message: calls.message,
    longest_wait: calls.longest_wait == null ? "nobody waits" : duration(calls.longest_wait),
    lines_age: lines.age == null ? "not read yet" : `read ${duration(lines.age)} ago`,
    lines_free: lines.free,
    lines_total: lines.total,
    lines_busy: lines.busy,
    lines_limit: lines.limit ?? "none",
    ...Object.fromEntries(campaign.pbxes.map((part) => [`pbx_${part.pbx}`, partWords(part)])),
    join_p50: milliseconds(today.join_ms.p50),
    join_p95: milliseconds(today.join_ms.p95),
    join_p99: milliseconds(today.join_ms.p99),
    contacts_open: whole(contacts.open),
    contacts_due: whole(contacts.due),
    contacts_live: whole(contacts.live),
    contacts_closed: whole(contacts.closed),
    today_attempts: whole(today.attempts),
    today_answered: whole(today.answered),
    today_met: whole(today.met),
    today_talk: duration(today.talk_seconds),
    today_occupancy: percent(today.occupancy),
  });
  for (const part of campaign.pbxes) {
    const element = document.querySelector(`[data-k="${CSS.escape(`pbx_${part.pbx}`)}"]`);
    if (element) element.title = partSentence(part);
  }
  if (pace) write(document, { pace_calls: pace.calls, pace_why: because(pace.why), pace_age: `${duration(pace.age)} ago` });
}

function showState(campaign) {
  const badge = document.querySelector('#campaign [data-k="state"]');
  badge.dataset.state = campaign.state;
  const [character, word] = words.campaign[campaign.state];
  badge.replaceChildren(sign(character), ` ${word}`);
  const next = document.querySelector('[data-k="next_step"]');
  next.hidden = !campaign.next_step;
  next.replaceChildren(...withCode(campaign.next_step));
}

function showAbandonment(spent) {
  document.querySelector('[data-k="abandonment_left"]').dataset.level = abandonmentLevel(spent);
  const share = spent.ceiling ? (100 * spent.rate) / spent.ceiling : spent.rate ? 100 : 0;
  document.querySelector('[data-k="abandonment_meter"]').setAttribute("width", Math.min(100, share));
}

function showAgents(agents, several) {
  const counts = Object.entries(words.agent)
    .filter(([state]) => agents.by_state[state])
    .map(([state, [character, word]]) =>
      make("div", {}, make("dt", {}, sign(character), ` ${word}`), make("dd", {}, String(agents.by_state[state]))),
    );
  replace(document, "agents_by_state", ...counts);
  if (!agents.people.length) return;
  const rows = agents.people.map((person) => {
    const [character, word] = words.agent[person.state];
    const since = new Date(person.since).toLocaleString([], { timeZoneName: "short", hourCycle: "h23" });
    const level = person.state === "out" ? 0 : LONG.filter((limit) => person.seconds >= limit).length;
    return make(
      "tr",
      { class: `long-${level}` },
      make("th", { scope: "row" }, `${person.name} `, make("small", {}, several ? `${person.extension} ${person.pbx}` : person.extension)),
      make(
        "td",
        {},
        make("span", { class: "agent", "data-agent": person.state }, sign(character), ` ${word}`),
        person.reason ? make("small", {}, ` ${person.reason}`) : "",
      ),
      make("td", { class: "number", title: `since ${since}` }, duration(person.seconds)),
    );
  });
  replace(document, "people", ...rows);
}

function showOutcomes(outcomes) {
  const ended = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  if (!ended) return;
  const rows = Object.entries(outcomes).map(([outcome, count]) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, words.outcome[outcome] ?? outcome),
      make("td", { class: "number" }, whole(count)),
      make("td", { class: "number" }, percent(count / ended)),
    ),
  );
  replace(document, "outcomes", ...rows);
}

async function showPast() {
  const answer = await fetch(`/api/v1/campaigns/${encodeURIComponent(name)}/moments`);
  if (answer.ok) chart.begin(await answer.json());
}

showPast();
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) showPast();
});

follow(name, (state) => {
  const [campaign] = state.campaigns;
  showTexts(campaign);
  showState(campaign);
  showAbandonment(campaign.abandonment);
  showAgents(campaign.agents, campaign.pbxes.length > 0);
  showOutcomes(campaign.today.outcomes);
  showSystem(document, state);
  chart.add(Date.parse(state.at) / 1000, {
    talking: campaign.calls.talking,
    ringing: campaign.calls.ringing,
    waiting: campaign.calls.waiting,
    agents: campaign.agents.by_state.parked ?? 0,
  });
});
