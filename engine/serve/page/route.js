// Addresses inside the page: they stand behind the `#`, so that the server needs to know of none.
//
//   #/                        the archives
//   #/1                       databases of archive 1, or of the newest backup of repository 1
//   #/1~ID                    databases of a backup in repository 1
//   #/1/db                    documents of a database; ?list=design, local, deleted or about
//   #/1/db/doc?rev=…          a document
//   #/compare/db/doc?a=1&b=2  two versions of a document; arev, brev: other revisions than the winning ones

import { encode } from "./api.js";

/** What an address names: `{ parts, options }`; null where it is not one of ours. */
export function read(hash) {
  const [path, query = ""] = halves(hash.replace(/^#?\/?/, ""), "?");
  try {
    const parts = path === "" ? [] : path.split("/").map(decodeURIComponent);
    if (parts.length > 1 && parts.at(-1) === "") parts.pop();
    return { parts, options: Object.fromEntries(new URLSearchParams(query)) };
  } catch {
    return null;
  }
}

function halves(text, sign) {
  const at = text.indexOf(sign);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function address(parts, options = {}) {
  const given = Object.entries(options).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  const query = given.map(([key, value]) => `${key}=${encode(String(value))}`).join("&");
  return `#/${parts.map((part) => encode(String(part))).join("/")}${query && "?" + query}`;
}

/** The archives. */
export const archives = () => "#/";

/** An archive's databases. */
export const archive = (archive, options) => address([archive.reference], options);

/** A database's documents, or what `options.list` names. */
export const database = (archive, name, options) => address([archive.reference, name], options);

/** A document. */
export const document = (archive, name, id, options) => address([archive.reference, name, id], options);

/** Two versions of a document. */
export const compare = (name, id, options) =>
  address(["compare", ...(name === "" ? [] : [name, id])], options);
