// Answers as a table for a spreadsheet: the columns that `coverslip predict` writes, as far as the page knows them.

const BETWEEN = " | "; // names in one cell

/** Items of the list, the names of the classes -> text of a CSV file. */
export function toCsv(items, classes) {
  const head = ["path", "predicted", "confidence", ...classes.map((name) => `p:${name}`), "set", "familiar", "unfamiliarity", "nearest_labels", "error"];
  const rows = items.map(({ name, answer, state, problem }) => [
    plain(name),
    answer?.label,
    answer?.confidence,
    ...classes.map((each) => answer?.probabilities?.[each]),
    answer?.set?.join(BETWEEN),
    answer?.familiar,
    answer?.unfamiliarity,
    answer?.nearest?.map((each) => each.label).join(BETWEEN),
    answer ? "" : problem || { stopped: "not sent: canceled", waiting: "not sent yet", sent: "not answered yet" }[state],
  ]);
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A name that no spreadsheet takes for a formula, as the server's own CSV has it. */
const plain = (name) => (/^[=+\-@\t\r]/.test(name) ? `'${name}` : name);

function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Hands a text to the browser as a file to keep. */
export function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
