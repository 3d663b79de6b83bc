// Files that were dropped, those in folders too, with `path`: where in what was dropped they are.

const FILES_MAX = 20000;

function fileOf(entry) {
  return new Promise((done, failed) => entry.file(done, failed));
}

// A reader gives about a hundred entries at a time.
async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

// transfer: of a drop event. Its entries must be asked for
// before the first wait, and are then good for longer.
export async function droppedFiles(transfer) {
  const plain = [...transfer.files];
  const todo = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!todo.some((entry) => entry.isDirectory)) return plain;
  const files = [];
  while (todo.length > 0 && files.length < FILES_MAX) {
    const entry = todo.shift();
    if (entry.isDirectory) todo.unshift(...(await entriesOf(entry)));
    else
      files.push(Object.assign(await fileOf(entry), { path: entry.fullPath.replace(/^\//, '') }));
  }
  return files;
}

// The browser keeps it as a file of this name. content: a Blob, or a text.
export function saveAs(name, content, type = 'application/octet-stream') {
  const url = URL.createObjectURL(
    content instanceof Blob ? content : new Blob([content], { type }),
  );
  const a = document.createElement('a');
  Object.assign(a, { href: url, download: name });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
