// Files that go with the next message: chosen, pasted, uploaded in three steps, or put into the body.

import { variant } from "./place.js";
import { refusal } from "./wire.js";

const LIMIT = 10;

/** The list of files below the prompt. `changed` is called when one comes, goes or is ready. */
export class Attachments {
  constructor({ list, input, prompt, changed, told }) {
    this.list = list;
    this.changed = changed;
    this.told = told;
    this.files = [];
    input.addEventListener("change", () => {
      this.add(input.files);
      input.value = "";
    });
    prompt.addEventListener("paste", (event) => {
      if (!event.clipboardData?.files.length) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
  }

  get busy() {
    return this.files.some((each) => !each.attachment);
  }

  add(files) {
    for (const file of files) {
      if (this.files.length >= LIMIT) return this.told(`A message takes ${LIMIT} files.`);
      const entry = { attachment: null, item: this.show(file) };
      this.files.push(entry);
      this.bring(file, entry);
    }
    this.changed();
  }

  async bring(file, entry) {
    try {
      entry.attachment = await (variant.uploads ? uploaded(file) : inlined(file));
      entry.item.setAttribute("aria-busy", "false");
    } catch (error) {
      this.drop(entry);
      this.told(`${file.name}: ${error.message}`);
    }
    this.changed();
  }

  show(file) {
    const item = document.createElement("li");
    item.setAttribute("aria-busy", "true");
    const name = document.createElement("span");
    name.textContent = file.name;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "×";
    button.setAttribute("aria-label", `Remove ${file.name}`);
    button.addEventListener("click", () => this.drop(this.files.find((each) => each.item === item)));
    item.append(name, button);
    this.list.append(item);
    this.list.hidden = false;
    return item;
  }

  drop(entry) {
    this.files = this.files.filter((each) => each !== entry);
    entry?.item.remove();
    this.list.hidden = this.files.length === 0;
    this.changed();
  }

  /** The attachments for a body; the list is empty then. */
  take() {
    const attachments = this.files.map((each) => each.attachment);
    for (const each of this.files) each.item.remove();
    this.files = [];
    this.list.hidden = true;
    return attachments;
  }
}

async function inlined(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return { name: file.name, contentType: file.type, url };
}

/** Ask where to, put it there, ask for the address by which it can be read. */
async function uploaded(file) {
  const build = document.documentElement.dataset.build;
  const { actions } = await import(`/demo/build/${build}.js`);
  const contentType = file.type || "application/octet-stream";
  const { uploadUrl, key } = await act(actions.generateUploadUrl, [file.name, contentType]);
  const put = await fetch(uploadUrl, { method: "PUT", headers: { "Content-Type": contentType }, body: file });
  if (!put.ok) throw await refusal(put);
  const { url } = await act(actions.getSignedUrl, [key]);
  return { name: key, contentType, url };
}

/** Call an action of the page's server; its value stands in the line that begins with `1:`. */
async function act(id, parameters) {
  const response = await fetch(location.pathname, {
    method: "POST",
    headers: { Accept: "text/x-component", "Next-Action": id, "Content-Type": "text/plain;charset=UTF-8" },
    body: JSON.stringify(parameters),
  });
  if (!response.ok) throw await refusal(response);
  const line = (await response.text()).split("\n").find((each) => each.startsWith("1:"));
  return JSON.parse(line.slice(2)).data;
}
