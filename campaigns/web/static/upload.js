// The first step of an upload: says before sending that a file cannot be taken, and shows how much of it has gone.

const form = document.getElementById("upload");
const file = document.getElementById("file");
const limit = Number(form.dataset.limit);
const WORKBOOK = /\.(xlsx?|xlsm|ods|numbers|zip|pdf)$/i;

function complain(words) {
  document.getElementById("trouble").hidden = !words;
  document.getElementById("trouble-words").textContent = words;
}

function trouble(chosen) {
  if (!chosen) return "";
  if (chosen.size === 0) return `${chosen.name} is empty: there is nothing in it to import.`;
  if (chosen.size > limit) return `${chosen.name} has ${Math.ceil(chosen.size / 1048576)} MiB; at most ${limit / 1048576} are taken: split it.`;
  if (WORKBOOK.test(chosen.name)) return `${chosen.name} is no CSV file: open it, save it as “CSV UTF-8”, and choose that one.`;
  return "";
}

file.addEventListener("change", () => complain(trouble(file.files[0])));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const words = trouble(file.files[0]);
  complain(words);
  if (words) return;
  const button = form.querySelector("button");
  const request = new XMLHttpRequest(); // fetch does not tell how much of a body has gone
  const bar = document.getElementById("going-bar");
  const told = document.getElementById("going-words");
  document.getElementById("going").hidden = false;
  button.disabled = true;
  request.upload.addEventListener("progress", (moved) => {
    if (!moved.lengthComputable) return;
    bar.value = moved.loaded / moved.total;
    told.textContent = moved.loaded < moved.total ? `${Math.floor(100 * bar.value)} % sent` : "checking it";
  });
  request.addEventListener("load", () => {
    if (request.status < 300 && request.responseURL) {
      location.assign(request.responseURL); // we were sent on to the next step
      return;
    }
    failed(readable(request.response));
  });
  request.addEventListener("error", () => failed("The upload broke off: the server closed the connection or cannot be reached. Nothing of the file was kept; send it again."));
  request.open("POST", form.action);
  request.responseType = "document";
  request.send(new FormData(form));

  function failed(sentence) {
    document.getElementById("going").hidden = true;
    button.disabled = false;
    complain(sentence);
  }
});

// The sentence of the page the server answered with.
function readable(page) {
  const said = page?.querySelector("#trouble-words")?.textContent || page?.querySelector(".lead")?.textContent;
  return said || "The server did not take the file. Send it again; if that does not help, its log says why.";
}
