/** Takes the types out of TypeScript source, for the Nodes that cannot run it as it is. */
import { createRequire } from 'node:module'
import type { transformSync } from '@swc/wasm-typescript'

interface SwcFault {
  message?: string
  startLine?: number
  startColumn?: number
}

let transform: typeof transformSync | undefined

/**
 * The same code with every type replaced by blanks, so lines and columns stay. Throws a SyntaxError that starts with
 * `path:line:column` for code that is not valid, or needs more than stripping (enums, namespaces, parameter properties).
 *
 * The engine is the one Node itself carries from 22.18 on; `module.stripTypeScriptTypes` is left alone, as it prints a
 * warning at every first use and does not say where a fault is.
 */
export const stripTypes = (source: string, path: string): string => {
  // 40 ms to load, and only a Node without its own stripping ever needs it.
  transform ??= (createRequire(import.meta.url)('@swc/wasm-typescript') as { transformSync: typeof transformSync }).transformSync
  try {
    return transform(source, { mode: 'strip-only', module: true, filename: path }).code
  } catch (thrown) {
    const { message, startLine, startColumn } = thrown as SwcFault // oxlint-disable-line typescript/no-unsafe-type-assertion
    const at = startLine === undefined ? '' : `:${startLine}:${(startColumn ?? 0) + 1}`
    throw new SyntaxError(`${path}${at}: ${message ?? String(thrown)}`, { cause: thrown })
  }
}

const IN_NODE_MODULES = /[/\\]node_modules[/\\]/

/** Sources, each with what it is without its types. */
export type Stripped = readonly (readonly [source: string, code: string])[]

/** Those whose types were taken out elsewhere. */
export class StrippedSources {
  // No map: who loads by it may have changed what maps do.
  readonly #codes = Object.create(null) as Record<string, string>

  add(stripped: Stripped): void {
    for (const [source, code] of stripped) this.#codes[source] = code
  }

  /**
   * As {@link stripTypes}. Each is used once: a module is loaded once. Throws for a file in `node_modules`, which a Node that strips by
   * itself refuses.
   */
  strip(source: string, path: string): string {
    if (IN_NODE_MODULES.test(path)) throw new Error(`Stripping types is currently unsupported for files under node_modules, for "${path}"`)
    const code = this.#codes[source]
    if (code === undefined) return stripTypes(source, path)
    delete this.#codes[source]
    return code
  }
}

/**
 * Where the syntax of a module goes wrong, as a SyntaxError that starts with `path:line:column`; undefined if it does not.
 * For the one error Node reports without saying where: that of an ES module it imports.
 */
export const syntaxFault = (source: string, path: string): SyntaxError | undefined => {
  try {
    stripTypes(source, path)
    return undefined
  } catch (error) {
    return error instanceof SyntaxError ? error : undefined
  }
}

/** What does the same and can be stripped: types are taken out of the code, and nothing else is changed in it. */
const INSTEAD: readonly [construct: RegExp, mend: string][] = [
  [/\benum\b/, "Use a plain object `as const`, or a union of strings: type Color = 'red' | 'green'."],
  [/parameter property/, 'Declare the field in the class and assign it in the constructor.'],
  [/\bnamespace\b|\bmodule\b/, 'Use a module of its own, or a plain object.'],
]

/** A sentence to follow the reason why TypeScript is not taken, with a space before it; or nothing. */
export const insteadOf = (reason: string): string => {
  if (!reason.includes('strip-only')) return ''
  const mend = INSTEAD.find(([construct]) => construct.test(reason))?.[1]
  return mend === undefined ? '' : ` ${mend}`
}

/** Whether this Node runs TypeScript by itself. */
export const runsTypeScript = Boolean((process.features as { typescript?: unknown }).typescript)

/** Whether a file name is one of TypeScript source. */
export const isTypeScript = (path: string): boolean => /\.[cm]?ts$/.test(path)
