// Compiles schemas/ into dist/kernel/schema/schema-validators.generated.js: plain code that imports nothing, so validating a manifest loads
// no ajv.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import standalone from 'ajv/dist/standalone/index.js'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What is there for editors only: with `verbose`, ajv writes the schemas into the code. A field of that name is an object, and stays. */
const withoutProse = (key, value) => ((key === 'description' && typeof value === 'string') || key === 'examples' ? undefined : value)

/** The module's text. It throws if ajv left a require() in it: some keywords need helpers that ESM cannot load this way. */
export const schemaValidators = () => {
  const ajv = new Ajv({
    allErrors: true,
    verbose: true, // the messages name the value and the nearest valid name
    // oxlint-disable-next-line typescript/no-deprecated
    unicode: false, // lengths in UTF-16 units: the other way needs a helper at run time
    allowUnionTypes: true,
    logger: { log() {}, warn() {}, error: console.error }, // it warns of 'unicode'
    code: { source: true, esm: true, lines: true },
  })
  ajv.addVocabulary(['patternErrorMessage'])
  for (const name of ['plugin.schema.json', 'options.schema.json']) {
    ajv.addSchema(JSON.parse(readFileSync(join(root, 'schemas', name), 'utf8'), withoutProse), name)
  }
  const text = standalone.default(ajv, { validateManifest: 'plugin.schema.json', validateOptions: 'options.schema.json' })
  if (/\brequire\(/.test(text)) throw new Error('A schema uses a keyword whose standalone code needs a helper of ajv at run time.')
  return text
}

export const writeSchemaValidators = () => {
  mkdirSync(join(root, 'dist/kernel'), { recursive: true })
  writeFileSync(join(root, 'dist/kernel/schema/schema-validators.generated.js'), schemaValidators())
  // tsc reads declarations that stand beside the source but does not carry them over.
  copyFileSync(
    join(root, 'src/kernel/schema/schema-validators.generated.d.ts'),
    join(root, 'dist/kernel/schema/schema-validators.generated.d.ts'),
  )
}
