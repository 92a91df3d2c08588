// Replicates a database into a PouchDB of its own and prints all leaf revisions of all documents, by id.
// Arguments: the folder in which `pouchdb` is installed, the database's address, a folder for the data.
import { createRequire } from "node:module";

const [home, url, folder] = process.argv.slice(2);
const PouchDB = createRequire(home + "/")("pouchdb");
const here = new PouchDB(folder + "/here");
const there = new PouchDB(url, { skip_setup: true });
const result = await PouchDB.replicate(there, here, { batch_size: 50 });
if (!result.ok || result.doc_write_failures > 0) throw new Error(JSON.stringify(result));
const changes = await here.changes({ style: "all_docs", since: 0 });
const docs = {};
for (const { id, changes: revs } of changes.results) {
  const open_revs = revs.map(({ rev }) => rev).sort();
  const leaves = await here.get(id, { open_revs, revs: true, attachments: true });
  docs[id] = leaves.map(({ ok }) => ok).sort((a, b) => (a._rev < b._rev ? -1 : 1));
}
console.log(JSON.stringify({ docs, last_seq: result.last_seq }));
await here.close();
