// Runs the tests on other versions of Node: `npm run test:nodes -- 22 24 26`. With --report <folder> it leaves vitest's JSON there.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { environmentOf, nodeBinary } from './with-node.mjs'

const { positionals, values } = parseArgs({ allowPositionals: true, options: { report: { type: 'string' } } })
const versions = positionals.length > 0 ? positionals : ['22', '24', '26']
const root = fileURLToPath(new URL('..', import.meta.url))

for (const version of versions) {
  const binary = nodeBinary(version)
  const env = environmentOf(binary)
  const { stdout } = spawnSync(binary, ['--version'], { encoding: 'utf8' })
  console.log(`\nNode ${stdout.trim()}`)
  const report = values.report
    ? ['--reporter=default', '--reporter=json', `--outputFile.json=${join(values.report, `node-${version}.json`)}`]
    : []
  const { status } = spawnSync(binary, ['node_modules/vitest/vitest.mjs', 'run', ...report], { cwd: root, env, stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}
