/** What a manifest is: read, checked, and completed with the schema's own defaults. */
import { shown } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { readTextFile } from '../../text-file.js'
import { isRange, isVersion } from '../../versions.js'
import { reasonOf } from '../../wire-error.js'
import { permissionProblems, withGrammar } from '../schema/permission-grammar.js'
import { fieldPath, MAX_PROBLEMS, type Problem, problemsError, schemaProblems } from '../schema/schema-problems.js'
import type { ManifestFile, Ranges } from '../schema/schema-types.generated.js'
import { validateManifest } from '../schema/schema-validators.generated.js'
import { parseUniqueJson } from '../text/json-text.js'
import { unreadForWant } from '../text/system-limit.js'

export type {
  ConfigDeclaration,
  Isolation,
  Limits,
  ManifestFile,
  Ranges,
  RestartPolicy,
} from '../schema/schema-types.generated.js'

/** A manifest with the schema's own defaults filled in. What the kernel's options decide (isolation, limits, restart) stays open. */
export interface Manifest extends ManifestFile {
  version: string
  enabled: boolean
  dependencies: Ranges
  optionalDependencies: Ranges
  conflicts: Ranges
  onFailure: 'abort' | 'continue'
  roles: string[]
}

const complete = (file: ManifestFile): Manifest => ({
  ...file,
  version: file.version ?? '0.0.0',
  enabled: file.enabled ?? true,
  dependencies: file.dependencies ?? {},
  optionalDependencies: file.optionalDependencies ?? {},
  conflicts: file.conflicts ?? {},
  onFailure: file.onFailure ?? 'continue',
  roles: file.roles ?? [],
})

/** What a JSON Schema cannot say: ranges, and a plugin that refers to itself. */
const semanticProblems = (manifest: ManifestFile): Problem[] => {
  const problems: Problem[] = []
  for (const field of ['dependencies', 'optionalDependencies', 'conflicts'] as const) {
    for (const [name, range] of Object.entries(manifest[field] ?? {})) {
      if (problems.length > MAX_PROBLEMS) return problems
      const path = fieldPath([field, name])
      if (!isRange(range))
        problems.push({ path, value: range, message: `must be a semver range, such as '^1.0.0' or '*', not ${shown(range)}` })
      if (name === manifest.name) problems.push({ path, value: range, message: 'a plugin cannot name itself here' })
    }
  }
  if (manifest.version !== undefined && !isVersion(manifest.version)) {
    problems.push({
      path: 'version',
      value: manifest.version,
      message: `must be a semantic version, such as '1.4.0', not ${shown(manifest.version)}`,
    })
  }
  return problems
}

const fieldOf = (value: unknown, field: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined

const nameIn = (value: unknown): string | undefined => {
  const name = fieldOf(value, 'name')
  return typeof name === 'string' ? name : undefined
}

/**
 * Checks a manifest that is already parsed. `file` is named in messages.
 * Throws MANIFEST_INVALID with every problem in `details.problems`.
 */
export const checkManifest = (value: unknown, file: string): Manifest => {
  const valid = validateManifest(value)
  const found = valid ? semanticProblems(value as ManifestFile) : schemaProblems(validateManifest.errors, value) // oxlint-disable-line typescript/no-unsafe-type-assertion
  const problems = withGrammar(found, permissionProblems(fieldOf(value, 'permissions'), ['permissions']))
  if (problems.length > 0) throw problemsError('MANIFEST_INVALID', file, problems, { plugin: nameIn(value), details: { file } })
  return complete(value as ManifestFile) // oxlint-disable-line typescript/no-unsafe-type-assertion
}

/** A manifest is read, checked and told of in the kernel's thread: so many bytes of it at most. */
export const MAX_MANIFEST = 262_144
/** Lists and objects in each other. */
const MAX_DEPTH = 100

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' && value !== null && (levels === 0 || Object.values(value).some((item) => isDeeper(item, levels - 1)))

/** Throws MANIFEST_INVALID, also for a file that cannot be read. */
export const readManifest = (file: string): Manifest => {
  let text: string
  try {
    text = readTextFile(file, MAX_MANIFEST)
  } catch (error) {
    throw (
      unreadForWant(file, error) ??
      new PlugbayError('MANIFEST_INVALID', `${file} cannot be read: ${reasonOf(error)}.`, { cause: error, details: { file } })
    )
  }
  const parsed = parseUniqueJson(text)
  if ('value' in parsed) {
    if (!isDeeper(parsed.value, MAX_DEPTH)) return checkManifest(parsed.value, file)
    throw problemsError('MANIFEST_INVALID', file, [{ path: '', message: `it is nested more than ${MAX_DEPTH} levels deep` }], {
      details: { file },
    })
  }
  const { line, column, reason } = parsed.fault
  throw new PlugbayError('MANIFEST_INVALID', `${file}:${line}:${column} is not valid JSON: ${reason}.`, { details: { file, line, column } })
}

/** A manifest for a plugin that has none; its name is that of its file or folder, so that must be a fit one. */
export const impliedManifest = (name: string, path: string): Manifest => {
  try {
    return checkManifest({ name }, path)
  } catch (error) {
    const fit = name
      .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-|-$/g, '')
    const mend = fit === '' ? '' : ` Rename it to '${fit}', or give it a plugin.json with a name.`
    const message = `${path} has no plugin.json, so its own name is the plugin's, and '${name}' is not a valid one: lower-case words joined by '-', '_' or '.'.${mend}`
    throw new PlugbayError('MANIFEST_INVALID', message, {
      cause: error,
      details: { file: path, problems: [{ path: 'name', value: name, message }] },
    })
  }
}
