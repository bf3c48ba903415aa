// Answers as a CSV table, with the same columns as `coverslip predict` where the page has them.

import { kindOf } from "./kinds.js";

const SEPARATOR = " | "; // between names in one cell

/** Items and the model -> text of a CSV file. */
export function toCsv(items, model) {
  const kind = kindOf(model);
  const head = ["path", ...kind.head(model), "familiar", "unfamiliarity", "nearest_labels", "error"];
  const rows = items.map(({ name, answer, state, problem }) => [
    escapeFormula(name),
    ...kind.row(answer, model),
    answer?.familiar,
    answer?.unfamiliarity,
    answer?.nearest?.map((neighbor) => neighbor.label).join(SEPARATOR),
    answer ? "" : problem || { stopped: "not sent: canceled", waiting: "not sent yet", sent: "not answered yet" }[state],
  ]);
  return [head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A file name that a spreadsheet does not evaluate as a formula; the same rule as in the CSV of the server. */
const escapeFormula = (name) => (/^[=+\-@\t\r]/.test(name) ? `'${name}` : name);

function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Downloads a text as a file. */
export function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
