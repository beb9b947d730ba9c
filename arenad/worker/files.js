// Files into the page. Runs in a world of its own beside the page's scripts, as page.js does.
Object.assign(globalThis.arenad, {
  // A file input may be hidden: people press a label or a button in its place.
  fileInput(places) {
    for (const selector of places) {
      const found = this.all(selector).find((each) => each.matches("input[type=file]:enabled"));
      if (found) return found;
    }
    return null;
  },

  // Whether there is an input for files, or what may open a dialog for them, within this time.
  async hasWay(places, timeout_ms) {
    return (await this.until(() => this.fileInput(places) ?? this.usable(places), timeout_ms)) !== null;
  },

  // An input of our own, in no document: the browser puts files into it, and we take them out.
  ownInput() {
    this.input = Object.assign(document.createElement("input"), { type: "file", multiple: true });
    return this.input;
  },

  // Paste or drop what our own input holds; whether there was something to do that on.
  give(way, places) {
    const element = this.usable(places);
    if (!element) return false;
    const transfer = new DataTransfer();
    for (const file of this.input.files) transfer.items.add(file);
    this.input = null;
    const told = { bubbles: true, cancelable: true, composed: true };
    if (way === "paste") {
      element.focus({ preventScroll: true });
      element.dispatchEvent(new ClipboardEvent("paste", { ...told, clipboardData: transfer }));
    } else {
      for (const kind of ["dragenter", "dragover", "drop"]) {
        element.dispatchEvent(new DragEvent(kind, { ...told, dataTransfer: transfer }));
      }
    }
    return true;
  },

  // The visible elements of the first selector that has any.
  visible(places) {
    for (const selector of places) {
      const found = this.all(selector).filter((each) => this.isVisible(each));
      if (found.length) return found;
    }
    return [];
  },

  // How many files show as taken, and as failed, before any of ours.
  uploads({ uploaded, failed }) {
    return [this.visible(uploaded).length, this.visible(failed).length];
  },

  // Resolves with "" once `wanted` files show as taken and none is under way; with what the page says
  // once more of it says that one failed than `said` did before; with null after `timeout_ms`.
  async taken({ uploaded, uploading, failed }, wanted, said, timeout_ms) {
    const found = await this.until(() => {
      const alerts = this.visible(failed);
      if (alerts.length > said) return { why: alerts[said].innerText.trim() || "no reason" };
      const isBusy = this.visible(uploading).length > 0;
      return !isBusy && this.visible(uploaded).length >= wanted ? { why: "" } : null;
    }, timeout_ms);
    return found?.why ?? null;
  },

  // Whether the page shows this image, once it does.
  async shows(url, timeout_ms) {
    const isIt = (each) => each.complete && each.naturalWidth > 0 && [each.src, each.currentSrc].includes(url);
    return (await this.until(() => this.all("img").some(isIt), timeout_ms)) !== null;
  },
});
