/** Hosts and their ports, as permissions and connections write them: one way to write each, and which of them a permission covers. */

// A guest holds its plugin to this in the plugin's own realm, where all of it may be changed: taken now.
const { apply, getOwnPropertyDescriptor } = Reflect
const { charCodeAt, endsWith, indexOf, lastIndexOf, slice, startsWith, toLowerCase } = String.prototype
const Url = URL
const hostnameOf = getOwnPropertyDescriptor(URL.prototype, 'hostname')?.get as (this: URL) => string

const lower = (text: string): string => apply<string, [], string>(toLowerCase, text, [])
const part = (text: string, from: number, to = text.length): string => apply<string, [number, number], string>(slice, text, [from, to])
const first = (text: string, sign: string): number => apply<string, [string], number>(indexOf, text, [sign])
const last = (text: string, sign: string): number => apply<string, [string], number>(lastIndexOf, text, [sign])
const begins = (text: string, start: string): boolean => apply<string, [string], boolean>(startsWith, text, [start])
const ends = (text: string, end: string): boolean => apply<string, [string], boolean>(endsWith, text, [end])
const DOT = 46
const ZERO = 48
const NINE = 57
const isNumeric = (text: string, dots: boolean): boolean => {
  for (let at = 0; at < text.length; at++) {
    const sign = apply<string, [number], number>(charCodeAt, text, [at])
    if ((sign < ZERO || sign > NINE) && !(dots && sign === DOT)) return false
  }
  return text !== ''
}

/** Of an IPv6 address as it is between brackets, without its zone; undefined: it is none. */
const ipv6 = (given: string): string | undefined => {
  const bare = begins(given, '[') ? part(given, 1, given.length - 1) : given
  const zone = first(bare, '%')
  try {
    return apply(hostnameOf, new Url(`http://[${zone < 0 ? bare : part(bare, 0, zone)}]/`), [])
  } catch {
    return undefined
  }
}

/**
 * As all others that mean the same are written: in small letters, without the dot of the root, an IPv6 address in brackets, in its shortest
 * form and without a zone.
 */
export const hostAs = (given: string): string => {
  // Where a system that is handed it stops to read.
  const end = first(given, '\0')
  const host = lower(end < 0 ? given : part(given, 0, end))
  if (first(host, ':') >= 0) return ipv6(host) ?? host
  return ends(host, '.') ? part(host, 0, host.length - 1) : host
}

/** Whether it says by itself where it is. Nobody is asked of the addresses of numbers, also of those that are none. */
export const isAddress = (host: string): boolean => isNumeric(host, true) || (first(host, ':') >= 0 && ipv6(host) !== undefined)

/** Host and port of `host`, `host:port`, `[::1]:port` or `::1`. */
const partsOf = (address: string): { host: string; port: string | undefined } => {
  const colon = last(address, ':')
  const port = part(address, colon + 1)
  const named = colon >= 0 && (begins(address, '[') || first(address, ':') === colon) && isNumeric(port, false)
  return named ? { host: hostAs(part(address, 0, colon)), port } : { host: hostAs(address), port: undefined }
}

/** The host alone of what a permission names. */
export const hostOf = (address: string): string => partsOf(address).host

/** `api.example.com` allows each of its ports, `*.example.com` every host below it. */
export const reaches = (allowed: string, wanted: string): boolean => {
  if (allowed === '*' || allowed === wanted) return true
  const { host, port } = partsOf(allowed)
  const target = partsOf(wanted)
  if (port !== undefined && port !== target.port) return false
  return host === target.host || (begins(host, '*.') && ends(target.host, part(host, 1)))
}
