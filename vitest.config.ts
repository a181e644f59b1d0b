import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const processors = availableParallelism()

/** Files that take longer than their size lets one think. What judges others by time does so beside what mostly waits; what takes every processor comes last. */
const LONG = [
  'hostile',
  'exit',
  'tasks',
  'process-host',
  'limits',
  'many-replacements',
  'exit-with-waiting-threads',
  'services',
  'uncounted-memory',
  'thread-limits',
]

/** Files that judge the process they run in: its memory, its threads, its descriptors, how long it waits. */
const ALONE = [
  'test/{hostile,chaos}/*.test.ts',
  'test/integration/{exit,exit-with-waiting-threads,keep-alive,limits,process-host,process-tiers,service-misuse,services,stop,tasks,thread-limits,uncounted-memory}.test.ts',
  'test/unit/sandbox/taken-pages.test.ts',
]

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
      { extends: true, test: { name: 'alone', include: ALONE, maxWorkers: Math.max(3, processors - 1), sequence: { groupOrder: 0 } } },
      // A process for each file would cost most of them more than they do. They judge nobody by time, and wait more than they compute.
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.test.ts', 'plugins/**/*.test.{ts,js}'],
          exclude: ALONE,
          isolate: false,
          maxWorkers: Math.max(4, processors),
          sequence: { groupOrder: 1 },
        },
      },
    ],
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    server: { deps: { external: [/\/dist\//] } },
    testTimeout: 20_000,
  },
})
