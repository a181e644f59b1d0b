/** A plugin whose modules do not load: where the fault is, and what to do about it. */
import { realpathSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { PlugbayError } from '../../errors.js'
import { entryFor, toAllow } from '../../permission-set.js'
import { IRREGULAR, isIrregular } from '../../sandbox/permissions/irregular-file.js'
import { unended } from '../../sentence.js'
import type { PluginSource } from '../manifest/plugin-source.js'
import { linkOf } from '../modules/linked-module.js'
import { moduleGraph } from '../modules/module-graph.js'
import { type Readable, readsFor } from '../modules/readable.js'
import { locateSyntaxFault, mendOfMissing } from './syntax-fault.js'

const NO_MODULE = /^Cannot find module '([^'?]+)[^']*' imported from /
const NO_PACKAGE = /^Cannot find package '((?:@[\w.-]+\/)?[\w.-]+)' imported from /
/** What was not found in a package, or of one, and by whom. */
const OF_PACKAGE = /^Cannot find (?:package|module) '(?:[^']*[\\/]node_modules[\\/])?([^'.\\/][^']*)' imported from (.+)/
const NO_SUBPATH = /^Package subpath '[^']+' is not defined by "exports" in /
const NOT_A_MODULE = /^(?:module|exports|require) is not defined in ES module scope/

/** Where the package is only linked, and leads to where the plugin may not read: to the plugin it is not there. */
const mendOfLinked = (reason: string, { root }: PluginSource, readable: Readable): string | undefined => {
  const [, name, from] = OF_PACKAGE.exec(reason) ?? []
  const link = name && from && linkOf(name, from)
  if (!link || readsFor(root, readable)(link)) return undefined
  const folder = realpathSync(link)
  return ` ${link} is a link to ${folder}, which is no package that this plugin may import. ${toAllow(entryFor(`fs:${folder}`, 'read'))}`
}

/** A sentence for the end of the engine's own, or nothing. */
const mendOf = async (reason: string, source: PluginSource, readable: Readable): Promise<string> => {
  const linked = mendOfLinked(reason, source, readable)
  if (linked !== undefined) return linked
  const module = NO_MODULE.exec(reason)?.[1]
  if (module !== undefined) return isAbsolute(module) ? mendOfMissing(module, source, readable) : ''
  const name = NO_PACKAGE.exec(reason)?.[1]
  if (name === 'plugbay') return " What a plugin imports of plugbay is 'plugbay/plugin'."
  if (name !== undefined) return ` Install it where the plugin finds it: npm install ${name}.`
  if (NO_SUBPATH.test(reason)) return ' Import what "exports" names there: a package gives nothing else of itself.'
  return NOT_A_MODULE.test(reason)
    ? ' A plugin is an ES module: it has `export default` for `module.exports`, and `import` for `require`.'
    : ''
}

/** Node's own advice, on a line of its own, is to give the module an ending that no plugin has. */
const withoutAdvice = (text: string): string =>
  text.replace(/(is not defined in ES module scope)[^\n]*(?:\nThis file is being treated [^\n]*)?/, '$1')

/** The error of a module that is no plugin, with what a CommonJS one has to do. */
export const explainShape = (error: PlugbayError, { entry }: PluginSource): PlugbayError => {
  if (!entry.endsWith('.cjs')) return error
  const { plugin, cause, details } = error
  const mend = `${entry} is a CommonJS module: its default export is what it gives to module.exports, and not exports.default. Write it as an ES module, or give the plugin to module.exports.`
  return new PlugbayError('PLUGIN_SHAPE', `${error.message} ${mend}`, { plugin, cause, details })
}

/**
 * Of modules that do not come to their end: what they import and never get, where there is such a thing. A guest that cannot look at it
 * before reads it for ever.
 */
export const awaitedImport = async ({ entry, root }: PluginSource): Promise<string | undefined> => {
  const { unresolved } = await moduleGraph(entry, root)
  const odd = unresolved.find(isIrregular)
  return odd && `It waits for ${odd}, which ${IRREGULAR}`
}

/** The error with the place of the fault where the code does not parse, and else with the likely mend, where there is one. */
export const explainLoadFault = async (error: PlugbayError, source: PluginSource, readable: Readable): Promise<PlugbayError> => {
  const located = await locateSyntaxFault(error, source, readable)
  if (located !== error || !(error.cause instanceof Error)) return located
  const mend = await mendOf(error.cause.message, source, readable)
  if (mend === '') return error
  const { plugin, cause, details } = error
  if (cause instanceof Error && cause.stack !== undefined) cause.stack = withoutAdvice(cause.stack)
  return new PlugbayError('PLUGIN_LOAD', `${unended(withoutAdvice(error.message))}.${mend}`, { plugin, cause, details })
}
