// The list of campaigns, live.

import { because, percent, whole } from "./format.js";
import { follow, replace, sign, withCode, write } from "./live.js";
import { showSystem } from "./system.js";

const words = await (await fetch("/words.json")).json();

function showCampaign(row, campaign) {
  const spent = campaign.abandonment;
  write(row, {
    agents: `${campaign.agents.total - (campaign.agents.by_state.out ?? 0)} of ${campaign.agents.total}`,
    ringing: whole(campaign.calls.ringing),
    talking: whole(campaign.calls.talking),
    answered: whole(campaign.today.answered),
    abandoned: `${percent(spent.rate)} of ${percent(spent.ceiling)}${spent.over ? " ▲" : ""}`,
    contacts: whole(campaign.contacts.open),
  });
  const badge = row.querySelector('[data-k="state"]');
  badge.dataset.state = campaign.state;
  const [character, word] = words.campaign[campaign.state];
  badge.replaceChildren(sign(character), ` ${word}`);
  replace(row, "now", ...withCode(campaign.next_step || (campaign.pace ? because(campaign.pace.why) : "")));
}

follow(null, (state) => {
  const rows = new Map([...document.querySelectorAll("#campaigns tr")].map((row) => [row.dataset.name, row]));
  const known = state.campaigns.every((campaign) => rows.has(campaign.name)) && rows.size === state.campaigns.length;
  if (!known) {
    location.reload(); // a campaign came or went: the server draws the table anew
    return;
  }
  for (const campaign of state.campaigns) showCampaign(rows.get(campaign.name), campaign);
  showSystem(document, state);
});
