/** README and docs: every link leads somewhere, every snippet runs, every table names what there is. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, test } from 'vitest'
import { ERROR_CODES } from '#src/errors.js'
import { TRANSITIONS } from '#src/kernel/lifecycle/lifecycle.js'
import { ACTIONS } from '#src/permission-set.js'
import { within } from '#src/within.js'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))

const markdownIn = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
    .map((name) => join(folder, name))
    .sort()

const told = ['README.md', ...markdownIn('docs')]
const pages = [...told, 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', ...markdownIn('plugins'), ...markdownIn('examples')].filter(
  (page) => existsSync(join(root, page)),
)

const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] }
/** Whether the package has it: what package.json names, and what npm always takes. */
const isPublished = (file: string): boolean => [...files, 'README.md', 'LICENSE', 'package.json'].some((each) => within(each, file))

const read = (page: string): string => readFileSync(join(root, page), 'utf8')

interface Block {
  language: string
  /** Words after the language: `run`, `output`, `file=plugins/hello.js`. */
  words: string[]
  text: string
  line: number
}

/** The fenced blocks of a page, in order. */
const blocksOf = (page: string): Block[] => {
  const blocks: Block[] = []
  let open: Block | undefined
  for (const [index, line] of read(page).split('\n').entries()) {
    const fence = /^```(\S*)\s*(.*)$/.exec(line)
    if (open === undefined && fence)
      open = { language: fence[1] ?? '', words: (fence[2] ?? '').split(/\s+/).filter(Boolean), text: '', line: index + 1 }
    else if (open !== undefined && line === '```') {
      blocks.push(open)
      open = undefined
    } else if (open !== undefined) open.text += `${line}\n`
  }
  if (open) throw new Error(`${page}:${open.line} opens a block that does not end`)
  return blocks
}

const filesOf = ({ words }: Block): string[] => words.filter((word) => word.startsWith('file=')).map((word) => word.slice('file='.length))

const prose = (page: string): string =>
  read(page)
    .replaceAll(/^```[\s\S]*?^```$/gm, '')
    .replaceAll(/<!--[\s\S]*?-->/g, '')

/** The anchors that GitHub gives the headings of a page. */
const anchorsOf = (page: string): Set<string> =>
  new Set(
    Array.from(
      read(page)
        .replaceAll(/^```[\s\S]*?^```$/gm, '')
        .matchAll(/^#{1,6}\s+(.+)$/gm),
      ([, heading = '']) =>
        heading
          .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
          .toLowerCase()
          .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
          .trim()
          .replaceAll(/\s/g, '-'),
    ),
  )

describe('links', () => {
  test.each(pages)('%s links to nothing that is not there', (page) => {
    const dead = Array.from(prose(page).matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => {
        const [path = '', anchor] = target.split('#')
        const file = path === '' ? page : relative(root, join(root, dirname(page), path))
        if (!existsSync(join(root, file))) return true
        return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor)
      })
    expect(dead).toEqual([])
  })

  test.each(pages.filter(isPublished))('%s links to nothing that the package has not', (page) => {
    const files = Array.from(prose(page).matchAll(/\]\(([^)\s#]+)/g), ([, target = '']) => target)
      .filter((target) => !/^[a-z]+:/.test(target))
      .map((target) => relative(root, join(root, dirname(page), target)))
    expect(files.filter((file) => !isPublished(file))).toEqual([])
  })

  test('every page is reached from the README', () => {
    const reached = new Set<string>(['README.md'])
    for (const page of reached) {
      for (const [, target = ''] of prose(page).matchAll(/\]\(([^)\s]+)\)/g)) {
        const file = relative(root, join(root, dirname(page), target.split('#')[0] ?? ''))
        if (told.includes(file)) reached.add(file)
      }
    }
    expect(told.filter((page) => !reached.has(page))).toEqual([])
  })
})

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A project with the files that a page shows, where 'plugbay' resolves. */
const projectOf = (page: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'plugbay-docs-'))
  folders.push(folder)
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/plugbay'), 'junction')
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
  for (const block of blocksOf(page)) {
    for (const file of filesOf(block)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true })
      writeFileSync(join(folder, file), block.text)
    }
  }
  return folder
}

const snippets = told.flatMap((page) =>
  blocksOf(page).flatMap((block, index, blocks) => {
    if (!block.words.includes('run')) return []
    const rest = blocks.slice(index + 1)
    const until = rest.findIndex(({ words }) => words.includes('run'))
    const output = rest.slice(0, until < 0 ? rest.length : until).find(({ words }) => words.includes('output'))
    return [{ name: `${page}:${block.line}`, page, block, output: output?.text }]
  }),
)

describe('snippets', () => {
  test('there are some', () => expect(snippets.length).toBeGreaterThan(10))

  test.concurrent.each(snippets)('$name runs, and prints what it is said to', async ({ page, block, output }) => {
    const folder = projectOf(page)
    writeFileSync(join(folder, 'snippet.mjs'), block.text)
    // Rejects, with what it wrote to standard error in its message, when the snippet does not end with 0.
    const { stdout } = await run(process.execPath, ['snippet.mjs'], { cwd: folder, timeout: 15_000 })
    if (output !== undefined) expect(stdout).toBe(output)
  })

  const changes = told.flatMap((page) =>
    blocksOf(page)
      .filter(({ language }) => language === 'diff')
      .map((block) => ({ name: `${page}:${block.line}`, block })),
  )

  test.each(changes)('$name changes lines that are in the file', ({ block }) => {
    const file = block.words.find((word) => word.startsWith('of='))?.slice('of='.length) ?? ''
    const before = block.text.split('\n').filter((line) => !line.startsWith('+'))
    expect(read(file)).toContain(before.map((line) => line.slice(1)).join('\n'))
  })

  test('TypeScript files that a page shows are sound', async () => {
    for (const page of told) {
      const files = blocksOf(page)
        .filter(({ language }) => language === 'ts')
        .flatMap(filesOf)
      if (files.length === 0) continue
      const folder = projectOf(page)
      const options = {
        noEmit: true,
        strict: true,
        target: 'es2023',
        module: 'nodenext',
        types: ['node'],
        typeRoots: [join(root, 'node_modules/@types')],
        allowImportingTsExtensions: true,
        skipLibCheck: true,
      }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files }))
      await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder])
    }
  }, 60_000)
})

/** Rows of the table after `<!-- table: name -->`, cells trimmed. */
const tableOf = (page: string, name: string): string[][] => {
  const after = read(page).split(`<!-- table: ${name} -->`)[1]
  if (after === undefined) throw new Error(`${page} has no table '${name}'`)
  const lines = after.trimStart().split('\n')
  const rows = lines.slice(
    2,
    lines.findIndex((line) => !line.startsWith('|')),
  )
  return rows.map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

const bare = (cell = ''): string => cell.replaceAll('`', '')
const keysIn = (page: string, name: string): string[] => tableOf(page, name).map(([key]) => bare(key))

interface Schema {
  properties: Record<string, { default?: unknown; properties?: Schema['properties']; $ref?: string }>
  definitions: Record<string, Schema>
}
const schema = (name: string): Schema => JSON.parse(readFileSync(join(root, 'schemas', name), 'utf8')) as Schema

describe('tables', () => {
  const options = schema('options.schema.json').properties
  const manifest = schema('plugin.schema.json')

  test('the options are those of the schema, logger and learn', () => {
    const keys = Object.entries(options).flatMap(([key, { properties }]) =>
      properties ? [key, ...Object.keys(properties).map((inner) => `${key}.${inner}`)] : [key],
    )
    expect(keysIn('docs/embedding.md', 'options').sort()).toEqual([...keys.filter((key) => key !== '$schema'), 'logger', 'learn'].sort())
  })

  test('the fields of the manifest are those of the schema', () => {
    expect(keysIn('docs/plugins.md', 'manifest').sort()).toEqual(Object.keys(manifest.properties).sort())
  })

  test.each([
    ['limits', 'Limits'],
    ['restart', 'RestartPolicy'],
    ['backoff', 'Backoff'],
    ['demote', 'Demote'],
  ])('the fields of %s, and their defaults, are those of the schema', (name, definition) => {
    const fields = Object.entries(manifest.definitions[definition]?.properties ?? {}).filter(
      ([, { $ref = '' }]) => !/Backoff|Demote/.test($ref),
    )
    const said = tableOf('docs/plugins.md', name).map(([key, value]) => [bare(key), bare(value)])
    expect(Object.fromEntries(said)).toEqual(Object.fromEntries(fields.map(([key, { default: value }]) => [key, String(value)])))
  })

  test('the states of a plugin and the moves between them are those of the state machine', () => {
    const said = tableOf('docs/lifecycle.md', 'states').map(([from, , to = '']) => [
      bare(from),
      Array.from(to.matchAll(/`([a-z]+)`/g), ([, state]) => state),
    ])
    expect(Object.fromEntries(said)).toEqual(TRANSITIONS)
  })

  test('what permissions can name is what the grammar knows', () => {
    const said = tableOf('docs/permissions.md', 'permissions').map(([resource, actions = '']) => [
      bare(resource).split(':')[0],
      Array.from(actions.matchAll(/`([a-z]+)`/g), ([, action]) => action),
    ])
    expect(Object.fromEntries(said)).toEqual(ACTIONS)
  })

  test.each(told)('%s speaks of no error code that there is not', (page) => {
    const others = new Set(['NO_COLOR', 'FORCE_COLOR', 'CI_NODES', 'USER_EXISTS'])
    const codes = Array.from(prose(page).matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g), ([, code = '']) => code)
    expect(codes.filter((code) => !Object.hasOwn(ERROR_CODES, code) && !others.has(code))).toEqual([])
  })

  test('the files of the ground are those that are there', () => {
    const entries = ['index', 'plugin', 'testing']
    const there = readdirSync(join(root, 'src')).flatMap((file) => (file.endsWith('.ts') ? [file.slice(0, -3)] : []))
    const ground = there.filter((name) => !entries.includes(name)).sort()
    const row = /^\| ([^|]*) \| ground \|/m.exec(read('CONTRIBUTING.md'))?.[1] ?? ''
    expect(Array.from(row.matchAll(/`([^`]+)\.ts`/g), ([, name]) => name).sort()).toEqual(ground)
    const line = /^ground +(.*)$/m.exec(read('docs/architecture.md'))?.[1] ?? ''
    expect(line.split(', ').sort()).toEqual(ground)
  })

  test('the scripts that the README names are there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = Array.from(
      read('README.md').matchAll(/npm (?:run )?(start|test|tour|bench|build|[a-z]+:[a-z]+)\b/g),
      ([, script = '']) => script,
    )
    expect(named.filter((script) => !Object.hasOwn(scripts, script))).toEqual([])
  })
})
