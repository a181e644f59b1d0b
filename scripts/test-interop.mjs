/**
 * Runs the tests that need more than Node and npm: `npm run test:interop`. With --install it first gets what they need with apt-get, where
 * it may. Without it they run as far as they can, and say what is missing and how to get it.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A command, the package of Debian's that has it, and the tests that use it. */
const NEEDS = [
  {
    command: 'bwrap',
    package: 'bubblewrap',
    tests: ['process-tiers', 'process-host', 'workspaces'].map((name) => `test/integration/${name}.test.ts`),
  },
]

const there = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined
const missing = () => NEEDS.filter(({ command }) => !there(command))

if (process.argv.includes('--install') && missing().length > 0 && there('apt-get')) {
  // A machine without a network, or without the rights, runs what it can.
  const patience = { stdio: 'inherit', timeout: 90_000 }
  spawnSync('apt-get', ['update', '-qq'], patience)
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing().map((need) => need.package)], patience)
}
for (const need of missing()) {
  console.log(`${need.command} is not here: what needs it is skipped. To have it: apt-get install ${need.package}`)
}
const files = NEEDS.flatMap(({ tests }) => tests)
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', ...files, ...process.argv.slice(2).filter((argument) => argument !== '--install')],
  {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: 'inherit',
  },
)
process.exitCode = status ?? 1
