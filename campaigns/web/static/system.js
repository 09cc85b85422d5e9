// The box "Under the hood": events, PBXs, processes, trouble.

import { duration, whole } from "./format.js";
import { make, replace, sign, write } from "./live.js";

export function showSystem(root, state) {
  const { events } = state;
  const oldest = events.oldest_unhandled_age == null ? "" : `, oldest ${duration(events.oldest_unhandled_age)}`;
  write(root, {
    last_event: events.last_age == null ? "none yet" : `${duration(events.last_age)} ago`,
    unhandled: whole(events.unhandled) + oldest,
    pbxes:
      state.pbxes.map((pbx) => `${pbx.name}: ${pbx.age == null ? "never" : `${duration(pbx.age)} ago`}`).join("; ") ||
      "none yet",
  });
  const processes = state.processes.map((process) =>
    make(
      "span",
      { class: "process" },
      sign(process.alive ? "✓" : "✗"),
      ` ${process.kind}${process.alive ? "" : ` silent for ${duration(process.age)}`}`,
    ),
  );
  const nobody = ["none heard of: ", make("code", {}, "dialer up"), " starts them"];
  replace(root, "processes", ...(processes.length ? processes.flatMap((one) => [one, " "]) : nobody));
  const troubles = state.troubles.map((trouble) => make("li", {}, trouble));
  replace(root, "troubles", ...(troubles.length ? troubles : [make("li", { class: "muted" }, "none")]));
}
