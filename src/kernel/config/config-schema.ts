/**
 * The JSON Schema that a manifest has for its plugin's configuration: compiled, and held to a time limit, as its author decides how much
 * work it is.
 */
import type { Ajv, ErrorObject, ValidateFunction } from 'ajv'
import { shown, shownAsData } from '../../arguments.js'
import { PlugbayError } from '../../errors.js'
import { didYouMean } from '../../nearest.js'
import { reasonOf } from '../../wire-error.js'
import type { ConfigDeclaration } from '../manifest/manifest.js'
import { fieldPath, MAX_ERRORS, type Problem, problemsError, schemaProblems } from '../schema/schema-problems.js'
import { explainShortage } from '../text/system-limit.js'
import { TIME_LIMIT, withTimeLimit } from './time-limit.js'

/** Whose schema it is. */
export interface SchemaOwner {
  /** The plugin's name. */
  name: string
  /** The plugin.json, for messages about the schema in it. */
  manifestPath?: string | undefined
}

/** The longest pattern, in characters: V8 cannot be interrupted while it reads one. */
const MAX_PATTERN = 1_000

/** What is being matched: when the time is over, the message says so. */
let matched: { pattern: string; text: string } | undefined

class Pattern extends RegExp {
  override test(text: string): boolean {
    matched = { pattern: this.source, text }
    const found = super.test(text)
    matched = undefined
    return found
  }
}

const patternOf = (source: string, flags: string): RegExp => {
  if (source.length > MAX_PATTERN) throw new Error(`the pattern ${shown(source)} has ${source.length} characters, more than ${MAX_PATTERN}`)
  return new Pattern(source, flags)
}

/** A text in the code that ajv makes, or one of the two places where it keeps an error. */
const KEPT_ERRORS = /"(?:[^"\\]|\\.)*"|vErrors\.push\(\w+\)|vErrors\.concat\([\w.]+\)/g

/**
 * ajv keeps every error, and there may be one for each part of the schema and of the configuration. Those beyond what is read are only
 * counted.
 */
const keepingFew = (code: string): string =>
  code.replaceAll(KEPT_ERRORS, (found) => (found.startsWith('"') ? found : `(vErrors.length < ${MAX_ERRORS} ? ${found} : vErrors)`))

const VALIDATORS = {
  'draft-07': async () => (await import('ajv')).Ajv,
  '2019-09': async () => (await import('ajv/dist/2019.js')).Ajv2019,
  '2020-12': async () => (await import('ajv/dist/2020.js')).Ajv2020,
}

type Dialect = keyof typeof VALIDATORS

/** The dialects of JSON Schema that are taken, by what `$schema` names them by. All that draft-06 says, draft-07 says too. */
const DIALECTS: Readonly<Record<string, Dialect>> = {
  'http://json-schema.org/draft-06/schema#': 'draft-07',
  'http://json-schema.org/draft-07/schema#': 'draft-07',
  'https://json-schema.org/draft/2019-09/schema': '2019-09',
  'https://json-schema.org/draft/2020-12/schema': '2020-12',
}

/** What schemas of one dialect are held to and compiled by. */
interface Validators {
  /** Knows whether a schema is one. It is handed none to keep: nothing that a manifest says is in it. */
  judge: Ajv
  /** One for a schema alone: what that calls itself and its parts is known to no other. */
  fresh: (schema: object) => Ajv
}

const loadValidators = async (dialect: Dialect): Promise<Validators> => {
  const [Constructor, formats] = await Promise.all([VALIDATORS[dialect](), import('ajv-formats')])
  const make = (meta: boolean): Ajv => {
    const ajv = new Constructor({
      allErrors: true,
      verbose: true,
      useDefaults: true,
      meta,
      validateSchema: false,
      strictTypes: false,
      strictRequired: false,
      strictTuples: false,
      allowUnionTypes: true,
      logger: false,
      code: { regExp: Object.assign(patternOf, { code: 'new RegExp' }), process: keepingFew },
    })
    ajv.addVocabulary(['patternErrorMessage', 'markdownDescription'])
    formats.default.default(ajv)
    // Compiles the dialect's own schema, and as such: the defaults in it say what is meant, and are not filled in.
    if (meta) void ajv.validateSchema({})
    return ajv
  }
  // The dialect's own schema takes longer than all else, and few speak of it.
  return { judge: make(true), fresh: (schema) => make(JSON.stringify(schema).includes('//json-schema.org/')) }
}

const shared = new Map<Dialect, Promise<Validators>>()

const validatorsFor = (dialect: Dialect): Promise<Validators> => {
  const found = shared.get(dialect) ?? loadValidators(dialect)
  shared.set(dialect, found)
  return found
}

/** What can take longer than schema and configuration are large. */
const DEMANDING = new Set([
  'pattern',
  'patternProperties',
  'propertyNames',
  'format',
  '$ref',
  '$dynamicRef',
  '$recursiveRef',
  'uniqueItems',
  'unevaluatedProperties',
  'unevaluatedItems',
])
/** What is beneath these is held to any number of values. */
const OF_EACH = new Set(['items', 'prefixItems', 'additionalItems', 'contains', 'additionalProperties'])

/**
 * Values in a schema by values in the configuration: so often at most is one held to the other, and each time it does not fit takes a
 * microsecond.
 */
const SMALL_WORK = 50_000

/** How many values are in one, with one more for each hundred characters of a text; Infinity for more than `most`. */
const sizeOf = (value: unknown, most: number): number => {
  if (typeof value === 'string') return 1 + value.length / 100
  if (typeof value !== 'object' || value === null) return 1
  let size = 1
  for (const item of Object.values(value)) {
    size += sizeOf(item, most - size)
    if (size > most) return Infinity
  }
  return size
}

/**
 * Whether it has a keyword that is demanding, or defaults that are filled in once for each of many values and may be many values
 * themselves.
 */
const isDemanding = (schema: unknown, ofEach = false): boolean =>
  typeof schema === 'object' &&
  schema !== null &&
  Object.entries(schema).some(
    ([key, item]) => DEMANDING.has(key) || (ofEach && key === 'default') || isDemanding(item, ofEach || OF_EACH.has(key)),
  )

type Run = <T>(work: () => T, late: () => Error) => T

const atOnce: Run = (work) => work()

/** Most schemas name types and bounds of a few fields: what they cost can be told beforehand, and they go without a clock. */
const runOf = (schema: object, config: object): Run => {
  const size = sizeOf(schema, SMALL_WORK)
  // Each default may be filled in.
  const isSmall = size * (size + sizeOf(config, SMALL_WORK)) <= SMALL_WORK
  return isSmall && !isDemanding(schema) ? atOnce : withTimeLimit
}

const subjectOf = ({ name, manifestPath }: SchemaOwner): string => manifestPath ?? `The manifest of plugin '${name}'`

const manifestError = (
  owner: SchemaOwner,
  problems: readonly Problem[],
  details: Record<string, unknown> = {},
  cause?: unknown,
): PlugbayError =>
  problemsError('MANIFEST_INVALID', subjectOf(owner), problems, {
    plugin: owner.name,
    root: 'config.schema',
    details: { ...(owner.manifestPath === undefined ? {} : { file: owner.manifestPath }), ...details },
    ...(cause === undefined ? {} : { cause }),
  })

const OLDER = /\/draft-0[0-5]\//
const AS_DRAFT_07 =
  ' Make it draft-07: write $id for id, a list of names for required, and the bound itself for exclusiveMinimum and exclusiveMaximum'

/** An address may be written without its `#`, and with the other scheme. */
const bare = (address: string): string => address.replace(/^https?:/, '').replace(/#$/, '')

/** Throws MANIFEST_INVALID for another: its words may mean nothing here, or something else. */
const dialectOf = (schema: object, owner: SchemaOwner): Dialect => {
  const named: unknown = Reflect.get(schema, '$schema')
  if (named === undefined) return 'draft-07'
  const address = typeof named === 'string' ? named : ''
  const found = Object.entries(DIALECTS).find(([taken]) => bare(taken) === bare(address))
  if (found !== undefined) return found[1]
  const all = Object.keys(DIALECTS)
  const mend = OLDER.test(address) ? AS_DRAFT_07 : didYouMean(address, all)
  const message = `${shownAsData(named)} is no dialect that plugbay validates by. Those are ${all.join(', ')}; it is draft-07 where none is named.${mend}`
  throw manifestError(owner, [{ path: '$schema', value: named, message }])
}

/** Where in a configuration a text is, as a value or as a name. */
const pathOf = (text: string, value: unknown, path: readonly (string | number)[] = []): string | undefined => {
  if (value === text) return fieldPath(path)
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, item] of Object.entries(value)) {
    const inner = [...path, Array.isArray(value) ? Number(key) : key]
    const found = key === text ? fieldPath(inner) : pathOf(text, item, inner)
    if (found !== undefined) return found
  }
  return undefined
}

/** It took too long: by which pattern and where, if by one. */
const lateError = (owner: SchemaOwner, what: string, config?: object): PlugbayError => {
  const at = matched
  matched = undefined
  const limit = `${TIME_LIMIT} ms, its limit`
  if (at === undefined) {
    const mend = 'Look for references or defaults that double at each step, or make it shorter'
    return manifestError(owner, [{ path: '', message: `${what} of plugin '${owner.name}' took more than ${limit}. ${mend}` }], {
      limit: TIME_LIMIT,
    })
  }
  const { pattern, text } = at
  const field = pathOf(text, config)
  const message = `the pattern '${pattern}' of plugin '${owner.name}' took more than ${limit}, for ${field ?? 'a text'} = ${shown(text)}. Write it without a repetition of what is repeated already, as in (a+)+`
  return manifestError(owner, [{ path: '', message }], { limit: TIME_LIMIT, pattern, ...(field === undefined ? {} : { field }) })
}

const compiled = new WeakMap<object, Promise<ValidateFunction>>()

const UNKNOWN_KEYWORD = /unknown keyword: "(.*)"$/
const UNKNOWN_FORMAT = /^unknown format "(.*)" ignored in schema at path "#?(.*)"$/
const NO_TARGET = /^can't resolve reference (.*) from id /
const ID_OF_DIALECT = /^schema with key or id "(.*)" already exists$/

/** Why ajv takes no schema, as its author is to hear it. */
const refusalOf = (ajv: Ajv, reason: string): string => {
  const keyword = UNKNOWN_KEYWORD.exec(reason)?.[1]
  if (keyword !== undefined) return `unknown keyword '${keyword}'.${didYouMean(keyword, Object.keys(ajv.RULES.all))}`
  const [, format, path] = UNKNOWN_FORMAT.exec(reason) ?? []
  if (format !== undefined) return `unknown format '${format}' at '${path}'.${didYouMean(format, Object.keys(ajv.formats))}`
  const id = ID_OF_DIALECT.exec(reason)?.[1]
  if (id !== undefined) return `its $id '${id}' is that of JSON Schema itself. Give it an address of your own, or none`
  const target = NO_TARGET.exec(reason)?.[1]
  return target === undefined ? reason : `the reference '${target}' leads to nothing. Write what it is to lead to, under "definitions" say`
}

const compileBy = ({ judge, fresh }: Validators, schema: object, owner: SchemaOwner): ValidateFunction => {
  // The dialect is chosen already, and ajv knows each by one spelling of its address only.
  const { $schema: _, ...usable }: { $schema?: unknown } = schema
  const ajv = fresh(usable)
  try {
    if (judge.validateSchema(usable) !== true) throw manifestError(owner, schemaProblems(judge.errors, schema))
    const validate = ajv.compile(usable)
    if (Reflect.get(validate, '$async') === true) throw new Error('a schema with $async is not supported')
    return validate
  } catch (error) {
    if (PlugbayError.is(error)) throw error
    throw manifestError(owner, [{ path: '', message: `cannot be used as a JSON Schema: ${refusalOf(ajv, reasonOf(error))}` }], {}, error)
  }
}

const compile = async (schema: object, owner: SchemaOwner): Promise<ValidateFunction> => {
  const validators = await validatorsFor(dialectOf(schema, owner))
  return runOf(schema, {})(
    () => compileBy(validators, schema, owner),
    () => lateError(owner, 'to compile the schema'),
  )
}

const compiledOf = (schema: object, owner: SchemaOwner): Promise<ValidateFunction> => {
  const found = compiled.get(schema) ?? compile(schema, owner)
  compiled.set(schema, found)
  // What is no fault of the schema may be over by the next time.
  found.catch((error: unknown) => PlugbayError.is(error) || compiled.delete(schema))
  return found
}

/** The place in `root` a JSON pointer names: what holds it, and its key there. */
const locate = (root: unknown, pointer: string): { holder: object; key: string } | undefined => {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'))
  const key = keys.pop()
  const holder = keys.reduce<unknown>((at, each) => (typeof at === 'object' && at !== null ? Reflect.get(at, each) : undefined), root)
  return key !== undefined && typeof holder === 'object' && holder !== null ? { holder, key } : undefined
}

/** A value from a placeholder that stands alone becomes a number, a boolean or null where the schema asks for one. True if any did. */
const convert = (errors: readonly ErrorObject[], config: object, whole: ReadonlySet<string>): boolean => {
  let changed = false
  for (const error of errors) {
    if (error.keyword !== 'type' || !whole.has(error.instancePath)) continue
    const place = locate(config, error.instancePath)
    const text: unknown = place && Reflect.get(place.holder, place.key)
    if (!place || typeof text !== 'string' || !/^(?:-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/.test(text.trim())) continue
    changed = Reflect.set(place.holder, place.key, JSON.parse(text.trim().replace(/^(-?)0+(?=\d)/, '$1'))) || changed
  }
  return changed
}

const isValid = (validate: ValidateFunction, config: object, owner: SchemaOwner): boolean => {
  try {
    return validate(config)
  } catch (error) {
    // A reference that leads to itself, without a step into the configuration.
    const message = `cannot be used as a JSON Schema: to hold the configuration to it fails with '${reasonOf(error)}'`
    throw manifestError(owner, [{ path: '', message }], {}, error)
  }
}

/**
 * What is wrong with a configuration by the schema declared for it, whose defaults it is given. A value that was a placeholder and nothing
 * else (`whole` has their JSON pointers) becomes a number or a boolean where the schema asks for one. Throws MANIFEST_INVALID for a schema
 * that is none, or takes more than {@link TIME_LIMIT}, and SYSTEM_LIMIT where the system gives nothing to check it by.
 */
export const schemaFaults = async (
  config: object,
  whole: ReadonlySet<string>,
  declaration: ConfigDeclaration,
  owner: SchemaOwner,
): Promise<readonly Problem[]> => {
  const { schema } = declaration
  if (schema === undefined) return []
  try {
    const validate = await compiledOf(schema, owner)
    const faults = (): readonly Problem[] => {
      while (!isValid(validate, config, owner)) {
        if (!convert(validate.errors ?? [], config, whole)) return schemaProblems(validate.errors, config)
      }
      return []
    }
    return runOf(schema, config)(faults, () => lateError(owner, 'to check the configuration', config))
  } catch (error) {
    return explainShortage(owner.name, `The configuration of plugin '${owner.name}' cannot be checked`)(error)
  }
}
