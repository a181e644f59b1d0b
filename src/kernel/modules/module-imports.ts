/** The names that a module imports, read from its source. */
import type { parse as lex } from 'es-module-lexer'

export type Parse = typeof lex

/** So many are told of a source: no module has as many. */
export const MOST_IMPORTS = 10_000

const REQUIRE = /\brequire\s*\(\s*(?:'([^'\n]+)'|"([^"\n]+)")\s*\)/g

export const lexer = async (): Promise<Parse> => {
  const { init, parse } = await import('es-module-lexer')
  await init()
  return parse
}

/** What it requires, as CommonJS does: known of one that cannot be parsed, too. */
export const requiredIn = (source: string): string[] =>
  source.includes('require') ? Array.from(source.matchAll(REQUIRE), ([, single, double]) => single ?? double ?? '') : []

/** What it imports and requires; undefined where it cannot be parsed. Most TypeScript can, as it is. */
export const importsIn = (source: string, parse: Parse): string[] | undefined => {
  try {
    const names: string[] = []
    for (const found of parse(source)[0]) {
      if (found.type === 'import-meta' || found.specifier === undefined) continue
      if (found.type === 'dynamic' ? found.glob || found.probablyTypeOnly : found.typeOnly) continue
      names.push(found.specifier)
    }
    return [...names, ...requiredIn(source)].slice(0, MOST_IMPORTS)
  } catch {
    return undefined
  }
}
