// What only a person may do: agree to the terms, confirm to be one, log in.

const TERMS_KEY = "arena-terms-agreed";
const CHECK_HINT = "confirm that you are a person";
const LOGIN_HINT = "LOGIN_GATE";

/** Ask for the terms, unless this visitor agreed before. */
export function askForTerms(dialog, prompt) {
  if (localStorage.getItem(TERMS_KEY)) return;
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.querySelector("button").addEventListener("click", () => {
    localStorage.setItem(TERMS_KEY, "1");
    fetch("/api/me/update-tou-consent", { method: "POST" });
    dialog.close();
    prompt.focus();
  });
  dialog.showModal();
}

export function wantsCheck(refused) {
  return refused.hint === CHECK_HINT;
}

export function wantsLogin(refused) {
  return Boolean(refused.hint?.startsWith(LOGIN_HINT));
}

/** Show the check; resolves when it is passed, rejects when it is put away. */
export function passCheck(dialog) {
  const box = dialog.querySelector("input");
  box.checked = false;
  dialog.showModal();
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    box.addEventListener(
      "change",
      async () => {
        await fetch("/demo/check", { method: "POST" });
        done.abort();
        dialog.close();
        resolve();
      },
      { signal: done.signal },
    );
    dialog.addEventListener("close", () => reject(new Error("The check was not passed.")), { signal: done.signal });
  });
}

/** A link to the login, which leads back here. */
export function loginLink() {
  const link = document.createElement("a");
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = "Log in";
  return link;
}
