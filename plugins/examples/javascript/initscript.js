// CouchDB as an init script: what `service couchdb start|stop|status` does, with the exit codes of the Linux Standard Base.

import { log, run, sleep } from "couchcopy:plugin/host@0.1.0";

/** Milliseconds between two looks at a service that is on its way. */
const PAUSE = 500;

export const describe = {
  describe() {
    const pattern = (action, purpose) => ({ words: ["service", "{service}", action], purpose });
    return {
      name: "initscript-js",
      version: "1.0.0",
      summary: "CouchDB as an init script; an example in JavaScript",
      settings: [
        { name: "service", meaning: "The init script's name", default: "couchdb", required: false },
        { name: "timeout", meaning: "How many seconds to wait for it at most", default: "60", required: false },
      ],
      commands: [
        pattern("status", "see whether CouchDB runs"),
        pattern("start", "start CouchDB"),
        pattern("stop", "stop CouchDB"),
      ],
    };
  },
};

export const service = {
  start(node) {
    bring(node, "start", "running");
  },

  stop(node) {
    bring(node, "stop", "stopped");
  },

  status(node) {
    return state(node);
  },
};

/** Does that, unless it is done already, and waits for its effect. */
function bring(node, action, wanted) {
  let left = timeout(node) * 1000;
  if (state(node) === wanted) return;
  const command = script(node, action);
  const output = execute(command);
  if (output.exitCode !== 0) throw { tag: "command-failed", val: { command, output } };
  for (;;) {
    const now = state(node);
    if (now === wanted) return;
    if (left <= 0) throw { tag: "timed-out", val: `the init script says that it is ${now}` };
    sleep(PAUSE);
    left -= PAUSE;
  }
}

function state(node) {
  const output = execute(script(node, "status"));
  switch (output.exitCode) {
    case 0:
      return "running";
    // 1 and 2 say that it is dead too, but Debian's `service` also ends with 1 where there is no such script.
    case 3:
      return "stopped";
    default:
      log(output.stdout + output.stderr);
      return "unknown";
  }
}

function script(node, action) {
  const name = setting(node, "service");
  if (!/^[^-]/.test(name)) {
    throw { tag: "invalid-setting", val: { name: "service", problem: "it is empty, or an option and no name" } };
  }
  return { program: "service", arguments: [name, action] };
}

function execute(command) {
  try {
    return run(command);
  } catch (error) {
    // One of the two tools wraps what the host answers into an `Error`.
    throw { tag: "not-run", val: error.payload ?? error };
  }
}

function timeout(node) {
  const text = setting(node, "timeout");
  if (!/^[0-9]{1,5}$/.test(text)) {
    throw { tag: "invalid-setting", val: { name: "timeout", problem: "it is no number of seconds, such as 60" } };
  }
  return Number(text);
}

/** Both settings have a default, so that both have a value. */
function setting(node, name) {
  return node.settings.find((setting) => setting.name === name).value;
}
