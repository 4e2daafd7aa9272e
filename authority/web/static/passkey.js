// Passkeys: asks the browser for one, and sends what it answers. The page works without it, by password.
"use strict";
{
const known = JSON.parse(document.getElementById("words")?.textContent || "{}");
const gettext = (english, values = {}) =>
  (known[english] ?? english).replace(/%\((\w+)\)s/g, (_, name) => String(values[name]));
for (const box of document.querySelectorAll(".passkey")) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) continue;
  box.hidden = false;
  const button = box.querySelector("button");
  const alarm = box.querySelector("[role=alert]");
  const send = async (url, body) => {
    const headers = {"Content-Type": "application/json", "Accept": "application/json"};
    if (box.dataset.formToken) headers["X-Form-Token"] = box.dataset.formToken;
    const answer = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
    const content = await answer.json();
    if (!answer.ok) throw new Error(content.detail);
    return content;
  };
  button.addEventListener("click", async () => {
    alarm.hidden = true;
    button.disabled = true;
    try {
      const {ticket, options} = await send(box.dataset.options, {});
      const made = box.dataset.kind === "create"
        ? await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})
        : await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)});
      const {next} = await send(box.dataset.send, {ticket, answer: made.toJSON(), next: box.dataset.next || ""});
      location.assign(next);
    } catch (error) {
      alarm.textContent = error.name === "NotAllowedError" ? gettext("No passkey was given. Try again, or take your password.") : error.message;
      alarm.hidden = false;
      button.disabled = false;
    }
  });
}
}
