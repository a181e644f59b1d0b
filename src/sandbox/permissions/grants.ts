/**
 * What a place lets its plugin reach beyond itself, as plain data: the kernel makes it of a manifest's permissions and roles, hosts and
 * guests hold to it.
 */
export interface Grants {
  fs: {
    /** Absolute paths of files and folders (with all in them) that may be read; the plugin's own folder need not be named. `*`: all. */
    read: string[]
    write: string[]
  }
  /** `host`, `host:port` or `*.host`, as given to a connection; `*`: all. */
  net: string[]
  /** As `net`, given to a server; who has all in `net` needs none. */
  listen: string[]
  /** Names of environment variables; a `*` at the end stands for the rest of a name. */
  env: string[]
  child: boolean
  worker: boolean
  addons: boolean
  /** Built-in modules beyond those that every plugin may import, without `node:`. */
  builtins: string[]
}

/** Whether any of the network is open. */
export const hasNet = ({ net, listen }: Grants): boolean => net.length > 0 || listen.length > 0

/** Nothing beyond the plugin itself. */
export const NO_GRANTS: Grants = {
  fs: { read: [], write: [] },
  net: [],
  listen: [],
  env: [],
  child: false,
  worker: false,
  addons: false,
  builtins: [],
}
