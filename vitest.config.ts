import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longer than their size lets one think. What judges others by time does so beside what mostly waits. */
const LONG = ['hostile', 'exit', 'tasks', 'process-host', 'limits', 'many-replacements', 'uncounted-memory']

/** They begin first, so that nothing is waited for alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rest = await super.sort(files)
    const first = LONG.flatMap((name) => rest.filter(({ moduleId }) => moduleId.endsWith(`/${name}.test.ts`)))
    return [...first, ...rest.filter((file) => !first.includes(file))]
  }
}

// The tests run against dist/, the code that is shipped: worker threads can load nothing else, and Node itself
// resolves 'plugbay' and '#src/*' through package.json.
export default defineConfig({
  test: {
    projects: [
      // A process for each file would cost them more than they do.
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], exclude: ['test/unit/cli/**'], isolate: false } },
      {
        extends: true,
        test: {
          name: 'whole',
          include: ['test/**/*.test.ts', 'plugins/**/*.test.{ts,js}'],
          exclude: ['test/unit/!(cli)/**', 'test/unit/*.test.ts'],
        },
      },
    ],
    pool: 'forks',
    // Most tests wait more than they compute.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 20_000,
  },
})
