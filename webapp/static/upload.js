// Sends a form with a file in the background, so that the page tells how far it is; without this the form posts itself.
//
//   <form data-upload> ... <button class="primary"> <div data-sending hidden><progress> <p role="status"> <button></div>

function prepare() {
  const form = document.querySelector("form[data-upload]");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
}

function send(form) {
  const sending = form.querySelector("[data-sending]"), submit = form.querySelector("button.primary");
  const [bar, said, cancel] = ["progress", "[role=status]", "button"].map((part) => sending.querySelector(part));
  const request = new XMLHttpRequest();
  const tell = (text, { share, open = true } = {}) => {
    said.textContent = text;
    share === undefined ? bar.removeAttribute("value") : (bar.value = share);
    cancel.hidden = share === undefined;
    bar.hidden = !open;
    submit.disabled = open;
  };
  const end = (text) => tell(text, { open: false });
  request.upload.onprogress = ({ loaded, total }) => tell(`${Math.floor((100 * loaded) / total)}% sent`, { share: loaded / total });
  request.upload.onload = () => tell("All of it has arrived and is being read. You may leave this page.");
  request.onerror = () => end("The connection broke before there was an answer. Look whether the data are listed, else try again.");
  request.onabort = () => end("Cancelled: what does not arrive in full is not kept.");
  request.onload = () => show(request, form) || end(`The server answered ${request.status} and no page. Try again.`);
  cancel.onclick = () => request.abort();
  sending.hidden = false;
  tell("0% sent", { share: 0 });
  request.open("POST", location.href);
  request.send(new FormData(form));
}

/** Put the page that came back in place of this one; a refused file stays chosen. Whether it was a page. */
function show(request, form) {
  const main = new DOMParser().parseFromString(request.responseText, "text/html").getElementById("main");
  if (!main) return false;
  if (new URL(request.responseURL).pathname !== location.pathname) location.assign(request.responseURL);
  const chosen = form.querySelector("input[type=file]").files;
  document.getElementById("main").replaceWith(main);
  if (request.status === 422) main.querySelector("input[type=file]").files = chosen;
  main.focus();
  prepare();
  return true;
}

prepare();
