// How far an import is, live; when it is over the server draws the page of its result.

import { percent, whole } from "./format.js";
import { write } from "./live.js";

const address = document.getElementById("import").dataset.live;
const banner = document.getElementById("banner");
const source = new EventSource(address);

source.addEventListener("import", (event) => {
  const job = JSON.parse(event.data);
  banner.hidden = true;
  document.getElementById("bar").value = job.progress;
  write(document, { percent: percent(job.progress), rows: whole(job.rows) });
  document.querySelector('[data-k="waiting"]').hidden = job.state !== "waiting";
  if (job.state === "waiting" || job.state === "running") return;
  source.close();
  location.reload();
});
source.addEventListener("trouble", (event) => tell(JSON.parse(event.data)));
source.addEventListener("error", () => tell("No news of the import; it goes on all the same. Trying again."));

function tell(words) {
  banner.textContent = words;
  banner.hidden = false;
}
