/** Names on the fabric that the dashboard uses: the same as in `paradrop/uris.py`. */

const LOCAL = "org.paradrop.local.";

export const REALM = "paradrop";

export const NODE_INFO = "node.info";
export const NODE_PROVISION = "node.provision";
export const CHUTES_LIST = "chutes.list";
export const CHANGES_LIST = "changes.list";
export const LOGS_READ = "logs.read";

export const ON_UPLINK = "node.uplink";
export const ON_CHUTE = "chutes.updated";
export const ON_CHUTE_REMOVED = "chutes.removed";
export const ON_CHANGE = "changes.updated";
export const ON_LOG = "logs.appended";

/** The error of a log that is not there: the class `LogNotFound` of `paradrop/base/exceptions.py`. */
export const NO_LOG = "org.paradrop.error.log_not_found";

/** What a person may ask of a chute, and the procedure that does it. */
export const ACTIONS = { start: "chutes.start", stop: "chutes.stop", restart: "chutes.restart" } as const;
export type Action = keyof typeof ACTIONS;

/** The daemon's own log; a chute's is {@link chuteLog}. */
export const DAEMON_LOG = "daemon";

export function chuteLog(chute: string): string {
  return `chute.${chute}`;
}

/** `chutes.list` → `org.paradrop.local.chutes.list`. */
export function local(name: string): string {
  return LOCAL + name;
}
