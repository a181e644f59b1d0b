// Compiles src/ into dist/. A tree that is already up to date is left as it is, so `npm start` stays quick.
import { execFileSync } from 'node:child_process'
import { chmodSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleGuest } from './bundle-guest.mjs'
import { writeSchemaValidators } from './schema-validators.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const stamp = join(root, 'dist/.built')

const newest = (path) => {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats) return 0
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}
const builtAt = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0
const inputs = ['src', 'schemas', 'scripts', 'package.json', 'tsconfig.json'].map((name) => newest(join(root, name)))

if (process.argv.includes('--force') || Math.max(...inputs) > builtAt) {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  const run = (...args) => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  run('node_modules/typescript/bin/tsc', '-p', 'tsconfig.json')
  writeSchemaValidators()
  await bundleGuest(root)
  chmodSync(join(root, 'dist/cli/plugbay.js'), 0o755)
  writeFileSync(stamp, '')
}
