// Writes src/kernel/schema/schema-types.generated.ts: the TypeScript types of what the schemas accept, so that the two cannot drift apart.
// `node scripts/schema-types.mjs` writes it; a test compares the file with what this makes.
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (name) => JSON.parse(readFileSync(join(root, 'schemas', name), 'utf8'))

/** The schema a reference names, and the file it is in. */
const follow = (schemas, ref, file) => {
  const [where, pointer] = ref.split('#')
  const target = where === '' ? file : basename(where)
  return {
    file: target,
    schema: pointer
      .slice(1)
      .split('/')
      .reduce((node, key) => node[key], schemas[target]),
  }
}

const doc = (schema, indent) => {
  const lines = [schema.description, schema.default === undefined ? undefined : `Default: ${JSON.stringify(schema.default)}.`].filter(
    Boolean,
  )
  return lines.length === 0 ? '' : `${indent}/** ${lines.join(' ')} */\n`
}

const scalar = { string: 'string', boolean: 'boolean', integer: 'number', number: 'number', null: 'null' }
const property = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : `'${name}'`)

/** All the named types the given schema files declare, as one TypeScript module. */
export const schemaTypes = (names = ['plugin.schema.json', 'options.schema.json']) => {
  const schemas = Object.fromEntries(names.map((name) => [name, read(name)]))
  const declared = new Map()

  const body = (schema, file, indent) => {
    const inner = `${indent}  `
    const required = new Set(schema.required)
    const fields = Object.entries(schema.properties).map(
      ([name, field]) =>
        `${doc(field, inner)}${inner}${property(name)}${required.has(name) ? '' : '?'}: ${typeOf(field, file, inner)}${required.has(name) ? '' : ' | undefined'}\n`,
    )
    return `{\n${fields.join('')}${indent}}`
  }

  const object = (schema, file, indent) => {
    if (schema.properties) return body(schema, file, indent)
    const values = typeof schema.additionalProperties === 'object' ? typeOf(schema.additionalProperties, file, indent) : 'unknown'
    return `Record<string, ${values}>`
  }

  const structure = (schema, file, indent) => {
    if (schema.enum) return schema.enum.map((value) => (typeof value === 'string' ? `'${value}'` : String(value))).join(' | ')
    if (schema.type === undefined) return 'unknown'
    return [schema.type]
      .flat()
      .map((type) => {
        if (type === 'object') return object(schema, file, indent)
        if (type !== 'array') return scalar[type]
        const item = typeOf(schema.items ?? {}, file, indent)
        return item.includes(' ') ? `Array<${item}>` : `${item}[]`
      })
      .join(' | ')
  }

  const typeOf = (schema, file, indent = '') => {
    if (schema.$ref) {
      const target = follow(schemas, schema.$ref, file)
      return typeOf(target.schema, target.file, indent)
    }
    if (schema.title === undefined) return structure(schema, file, indent)
    if (!declared.has(schema.title)) {
      declared.set(schema.title, '')
      const text = structure(schema, file, '')
      const opening = text.startsWith('{') ? `export interface ${schema.title} ` : `export type ${schema.title} = `
      declared.set(schema.title, `${doc(schema, '')}${opening}${text}\n`)
    }
    return schema.title
  }

  for (const [file, schema] of Object.entries(schemas)) typeOf(schema, file)
  return `/** What the schemas in schemas/ accept, as types. Written by scripts/schema-types.mjs: change the schema, not this file. */\n\n${[...declared.values()].join('\n')}`
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(join(root, 'src/kernel/schema/schema-types.generated.ts'), schemaTypes())
