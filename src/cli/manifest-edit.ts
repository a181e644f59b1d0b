/** Changes one field of a manifest and leaves the rest of the text as its author wrote it. */
import type { Permission } from '../permission-set.js'

/** One string, or one character that opens, closes or parts something. */
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g

/** From the first character of the field's key to the last of its value, in the outermost object. The text is valid JSON. */
const spanOf = (text: string, field: string): { from: number; to: number } | undefined => {
  let depth = 0
  let key: { name: string; at: number } | undefined
  for (const { 0: token, index } of text.matchAll(TOKENS)) {
    if (token === ',' || token === '}') {
      if (depth === 1 && key?.name === field) return { from: key.at, to: text.slice(0, index).trimEnd().length }
      if (depth === 1) key = undefined
    }
    if (token === '{' || token === '[') depth++
    else if (token === '}' || token === ']') depth--
    else if (depth === 1 && key === undefined && token.startsWith('"')) key = { name: JSON.parse(token) as string, at: index }
  }
  return undefined
}

/** A permission as one line of a manifest. */
export const permissionLine = ({ resource, actions }: Permission): string =>
  `{ "resource": ${JSON.stringify(resource)}, "actions": [${actions.map((action) => JSON.stringify(action)).join(', ')}] }`

/** The manifest's text with these permissions in the place of its own. */
export const withPermissions = (text: string, permissions: readonly Permission[]): string => {
  const indent = /^\s*\{\r?\n([ \t]+)/.exec(text)?.[1] ?? '  '
  const lines = permissions.map((permission) => `${indent}${indent}${permissionLine(permission)}`)
  const field = `"permissions": ${lines.length === 0 ? '[]' : `[\n${lines.join(',\n')}\n${indent}]`}`
  const span = spanOf(text, 'permissions')
  if (span) return text.slice(0, span.from) + field + text.slice(span.to)
  const end = text.lastIndexOf('}')
  const before = text.slice(0, end).trimEnd()
  return `${before}${before.endsWith('{') ? '' : ','}\n${indent}${field}\n${text.slice(end)}`
}
