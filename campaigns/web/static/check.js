// The second step of an upload: what was changed is checked at once. Without this, the button does it.

const form = document.getElementById("check");
const again = form.querySelector('button[value="look"]');
form.addEventListener("change", (event) => {
  if (event.target.matches("select")) form.requestSubmit(again);
});
// An import is ordered once, however often the button is pressed.
form.addEventListener("submit", (event) => {
  if (event.submitter?.value !== "import" && event.submitter?.value !== "dry") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
// A page taken out of the browser's memory is a new one.
window.addEventListener("pageshow", () => delete form.dataset.sent);
