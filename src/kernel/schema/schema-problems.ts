/** Turns what a JSON Schema validator found into sentences: field, value, rule, and the likely mend. */
import type { ErrorObject } from 'ajv'
import { shownAsData } from '../../arguments.js'
import { cut } from '../../cut.js'
import { type ErrorCode, PlugbayError } from '../../errors.js'
import { didYouMean, nearest } from '../../nearest.js'
import { unended } from '../../sentence.js'
import { visibleLine } from '../text/visible-text.js'

/** One thing that is wrong: `path` is the field (`limits.memory`, empty for the whole), `value` what stands there. */
export interface Problem {
  path: string
  value?: unknown
  message: string
}

/** So many are told of, and the rest counted: nobody mends more at a time, and whoever wrote what is wrong may have written much of it. */
export const MAX_PROBLEMS = 100

/** So many of a validator's errors are read: several may become one problem. */
export const MAX_ERRORS = 5 * MAX_PROBLEMS

/**
 * Characters of a name in a path, and of the path, a text there and what is said of it: whoever wrote what is wrong may have written much.
 */
const MAX_NAME = 256
const MAX_TEXT = 2_000

/** `limits.memory`, `permissions[0].resource`, `dependencies["a b"]`. */
export const fieldPath = (segments: readonly (string | number)[]): string => {
  const whole = segments.reduce<string>((path, segment) => {
    if (typeof segment === 'number') return `${path}[${segment}]`
    const name = cut(segment, MAX_NAME)
    if (!/^[\w$-]+$/.test(name)) return `${path}[${JSON.stringify(name)}]`
    return path === '' ? name : `${path}.${name}`
  }, '')
  return cut(whole, MAX_TEXT)
}

const NOUN: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  integer: 'a whole number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  null: 'null',
}

/** `a string` for a wanted type, `a string, a list or null` for several. */
const wanted = (types: string | string[]): string => {
  const nouns = [types].flat().map((type) => NOUN[type] ?? type)
  return nouns.length < 2 ? nouns.join('') : `${nouns.slice(0, -1).join(', ')} or ${nouns.at(-1) ?? ''}`
}

const LIMIT: Record<string, string> = { '<=': 'at most', '>=': 'at least', '<': 'less than', '>': 'more than' }

/** The segments of a JSON pointer as they are in the data: the index of a list is a number. */
const follow = (pointer: string, data: unknown): { segments: (string | number)[]; value: unknown } => {
  const segments: (string | number)[] = []
  let value = data
  for (const raw of pointer.split('/').slice(1)) {
    const key = raw.replaceAll('~1', '/').replaceAll('~0', '~')
    segments.push(Array.isArray(value) ? Number(key) : key)
    value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
  }
  return { segments, value }
}

const keysOf = (schema: unknown, part: string): string[] => {
  const found: unknown = typeof schema === 'object' && schema !== null ? Reflect.get(schema, part) : undefined
  return typeof found === 'object' && found !== null ? Object.keys(found) : []
}

const textOf = (schema: unknown, key: string): string | undefined => {
  const found: unknown = typeof schema === 'object' && schema !== null ? Reflect.get(schema, key) : undefined
  return typeof found === 'string' ? found : undefined
}

/** Keywords that only sum up what their branches already say. */
const SUMMARIES = new Set(['if', 'propertyNames', 'anyOf', 'oneOf', 'allOf'])

/** The parameters of the keywords that get a sentence of their own. */
interface Params {
  missingProperty?: string
  additionalProperty?: string
  unevaluatedProperty?: string
  allowedValues?: unknown[]
  allowedValue?: unknown
  type?: string | string[]
  pattern?: string
  format?: string
  comparison?: string
  limit?: number
}

const problemOf = (error: ErrorObject, data: unknown): Problem => {
  const params = error.params as Params // oxlint-disable-line typescript/no-unsafe-type-assertion
  const { segments, value } = follow(error.instancePath, data)
  const at = (message: string): Problem => ({ path: fieldPath(segments), value, message })
  const inside = (key: string, message: string): Problem => {
    const child: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
    return { path: fieldPath([...segments, key]), ...(child === undefined ? {} : { value: child }), message }
  }
  if (error.propertyName !== undefined) {
    const rule = textOf(error.parentSchema, 'patternErrorMessage') ?? error.message ?? 'is not allowed'
    return inside(error.propertyName, `the name '${error.propertyName}' ${rule}`)
  }
  switch (error.keyword) {
    case 'required':
      return inside(
        String(params.missingProperty),
        `is missing${didYouMeanGiven(String(params.missingProperty), value, error.parentSchema)}`,
      )
    case 'additionalProperties':
    case 'unevaluatedProperties': {
      const key = String(params.additionalProperty ?? params.unevaluatedProperty)
      const known = keysOf(error.parentSchema, 'properties')
      const mend = didYouMean(key, known) || (known.length > 0 && known.length <= 12 ? ` Known here: ${known.join(', ')}.` : '')
      return inside(key, `is not a known field.${mend}`)
    }
    case 'enum': {
      const allowed = (params.allowedValues as unknown[]).map((each) => (typeof each === 'string' ? each : JSON.stringify(each))) // oxlint-disable-line typescript/no-unsafe-type-assertion
      const mend = typeof value === 'string' ? didYouMean(value, allowed) : ''
      return at(
        `must be ${allowed.length > 1 ? 'one of ' : ''}${allowed.map((each) => `'${each}'`).join(', ')}, not ${shownAsData(value)}.${mend}`,
      )
    }
    case 'const':
      return at(`must be ${shownAsData(params.allowedValue)}, not ${shownAsData(value)}`)
    case 'type':
      return at(`must be ${wanted(params.type as string | string[])}, not ${shownAsData(value)}`) // oxlint-disable-line typescript/no-unsafe-type-assertion
    case 'pattern':
      return at(`${textOf(error.parentSchema, 'patternErrorMessage') ?? `must match ${String(params.pattern)}`}, not ${shownAsData(value)}`)
    case 'format':
      return at(`must be a valid ${String(params.format)}, not ${shownAsData(value)}`)
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
      return at(
        `must be ${LIMIT[String(params.comparison)] ?? String(params.comparison)} ${String(params.limit)}, not ${shownAsData(value)}`,
      )
    case 'minLength':
      return at(
        params.limit === 1 ? 'must not be empty' : `must have at least ${String(params.limit)} characters, not ${shownAsData(value)}`,
      )
    case 'maxLength':
      return at(`must have at most ${String(params.limit)} characters, not ${shownAsData(value)}`)
    case 'minItems':
      return at(params.limit === 1 ? 'must not be empty' : `must have at least ${String(params.limit)} items`)
    case 'false schema':
      return at('is not allowed here')
    default:
      return at(`${error.message ?? `breaks the rule '${error.keyword}'`}, but is ${shownAsData(value)}`)
  }
}

/** A missing field that was likely given under a wrong name. */
const didYouMeanGiven = (missing: string, value: unknown, schema: unknown): string => {
  if (typeof value !== 'object' || value === null) return ''
  const known = new Set(keysOf(schema, 'properties'))
  const given = nearest(
    missing,
    Object.keys(value).filter((key) => !known.has(key)),
  )
  return given === undefined ? '' : `. Was '${given}' meant to be '${missing}'?`
}

/** The branches of a choice each say which type they want: said once, with all of them. */
const joinTypes = (errors: readonly ErrorObject[]): ErrorObject[] => {
  const types = new Map<string, string[]>()
  for (const error of errors) {
    if (error.keyword === 'type')
      types.set(error.instancePath, [
        ...(types.get(error.instancePath) ?? []),
        ...[(error.params as { type: string | string[] }).type].flat(),
      ])
  }
  return errors.map((error) =>
    error.keyword === 'type' ? { ...error, params: { type: [...new Set(types.get(error.instancePath))] } } : error,
  )
}

/** Whether another branch of the same choice takes a value of this type, only not this one: then that branch is what was meant. */
const isOtherBranch = ({ keyword, instancePath }: ErrorObject, found: readonly ErrorObject[]): boolean => {
  const here = (...keywords: string[]): boolean =>
    found.some((other) => other.instancePath === instancePath && keywords.includes(other.keyword))
  return keyword === 'type' && here('enum') && here('anyOf', 'oneOf')
}

/** All problems a validator found in `data`. The validator must run with `allErrors` and `verbose`. */
export const schemaProblems = (errors: readonly ErrorObject[] | null | undefined, data: unknown): Problem[] => {
  const found = (errors ?? []).slice(0, MAX_ERRORS).filter((error, _, all) => !isOtherBranch(error, all))
  const telling = found.filter(
    (error) =>
      !SUMMARIES.has(error.keyword) ||
      // A choice none of whose branches says more stands for itself.
      !found.some((other) => other !== error && !SUMMARIES.has(other.keyword) && other.instancePath.startsWith(error.instancePath)),
  )
  const problems = new Map<string, Problem>()
  for (const error of joinTypes(telling)) {
    const problem = problemOf(error, data)
    problems.set(`${problem.path}\n${problem.message}`, problem)
  }
  return [...problems.values()]
}

/**
 * The error that reports problems: `subject` is what is wrong (a file, or 'The options object'), `root` the field within it that
 * the paths start from.
 */
export const problemsError = (
  code: ErrorCode,
  subject: string,
  problems: readonly Problem[],
  options: { plugin?: string | undefined; cause?: unknown; root?: string; details?: Record<string, unknown> } = {},
): PlugbayError => {
  const { root = '', details, ...rest } = options
  const told = problems.slice(0, MAX_PROBLEMS).map((problem) => {
    const { value, message } = problem
    return { ...problem, ...(typeof value === 'string' && { value: cut(value, MAX_TEXT) }), message: cut(message, MAX_TEXT) }
  })
  const lines = told.map(({ path, message }) => {
    const full = root === '' ? path : path === '' ? root : path.startsWith('[') ? `${root}${path}` : `${root}.${path}`
    const text = unended(message)
    // It quotes what is wrong, which is to begin no line of its own.
    return visibleLine(full === '' ? text : `${full}: ${text}`)
  })
  const [only = ''] = lines
  const more = problems.length > lines.length ? ['and more, told of once these are mended'] : []
  const message =
    lines.length === 1
      ? `${subject} is not valid: ${only}${only.endsWith('?') ? '' : '.'}`
      : `${subject} is not valid:\n${[...lines, ...more].map((line) => `  - ${line}`).join('\n')}`
  return new PlugbayError(code, message, { ...rest, details: { ...details, problems: told } })
}
