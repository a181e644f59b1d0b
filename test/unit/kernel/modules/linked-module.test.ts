import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { linkedModule } from '#src/kernel/modules/linked-module.js'
import { emptyFolder } from '../../../support/plugin-folder.js'

/** What an import of `name` means, in the package, where that says this of itself. */
const meant = (name: string, says: object, where = 'packages/shared'): string | undefined => {
  const folder = emptyFolder()
  const link = join(folder, 'node_modules/@acme/shared')
  for (const each of ['node_modules/@acme', where, 'app']) mkdirSync(join(folder, each), { recursive: true })
  writeFileSync(join(folder, where, 'package.json'), JSON.stringify(says))
  symlinkSync(join(folder, where), link, 'junction')
  return linkedModule(name, join(folder, 'app/index.js'))?.slice(link.length + 1)
}

it.each([
  ['@acme/shared', {}, 'index.js'],
  ['@acme/shared', { main: './dist/main.cjs' }, 'dist/main.cjs'],
  ['@acme/shared/lib/part.js', {}, 'lib/part.js'],
  ['@acme/shared', { main: './no.js', exports: './yes.js' }, 'yes.js'],
  ['@acme/shared', { exports: { types: './t.d.ts', import: './m.js', require: './c.cjs' } }, 'm.js'],
  ['@acme/shared', { exports: { '.': { browser: './b.js', node: { import: ['./n.js', './no.js'] } } } }, 'n.js'],
  ['@acme/shared', { exports: { '.': { require: './c.cjs' } } }, 'c.cjs'],
  ['@acme/shared/a/b', { exports: { './*': './no/*.js', './a/*': './src/*/*.js' } }, 'src/b/b.js'],
  ['@acme/shared/a.js', { exports: { './*.js': './src/*.ts', './a.js': './exact.ts' } }, 'exact.ts'],
  ['@acme/shared/private', { exports: { '.': './index.js', './*': null } }, undefined],
  ['@acme/shared/other', { exports: './index.js' }, undefined],
  ['@acme/none', {}, undefined],
  ['node:fs', {}, undefined],
  ['#own', {}, undefined],
])('%s of a package with %j means %s', (name, says, file) => {
  expect(meant(name, says)).toBe(file)
})

it('a package that lies in a node_modules is not one that is only linked', () => {
  expect(meant('@acme/shared', {}, 'node_modules/.pnpm/shared@1.0.0/node_modules/@acme/shared')).toBeUndefined()
})
