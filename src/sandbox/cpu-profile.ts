/** A CPU profile of a thread, and how one that was recorded is read. */

/** As V8 writes it, and as DevTools open it. */
export interface CpuProfile {
  nodes: ProfileNode[]
  /** Microseconds. */
  startTime: number
  endTime: number
  /** The node in which the thread was, by sample, and the microseconds since the one before. */
  samples: number[]
  timeDeltas: number[]
}

export interface ProfileNode {
  id: number
  /** Lines and columns are counted from 0, -1 where there is none. */
  callFrame: { functionName: string; url: string; lineNumber: number; columnNumber: number }
  /** Samples in which the thread was in this very frame. */
  hitCount?: number
  children?: number[]
  /** The same by line, counted from 1. */
  positionTicks?: { line: number; ticks: number }[]
}

/** One as the thread handed it over. It is read elsewhere: who is recorded decides how long it is. */
export interface RecordedCpu {
  /** JSON: the profile, or an answer of the inspector's that has it. */
  text: string
  /** Milliseconds at its end that are sure; left out where all of it is. */
  sureFor?: number
}

/** Samples that tell something. */
const ENOUGH = 20

/** Throws for what is none. */
export const readProfile = ({ text, sureFor }: RecordedCpu): CpuProfile => {
  const read = JSON.parse(text) as CpuProfile | { result: { profile: CpuProfile } }
  const profile = 'result' in read ? read.result.profile : read
  return sureFor === undefined ? profile : endOf(profile, sureFor)
}

/** Its last milliseconds; all of it where too little would be left. */
const endOf = (profile: CpuProfile, ms: number): CpuProfile => {
  const { samples, timeDeltas } = profile
  let skipped = 0
  let startTime = profile.startTime
  while (skipped < samples.length && startTime < profile.endTime - ms * 1_000) startTime += timeDeltas[skipped++] ?? 0
  if (samples.length - skipped < ENOUGH) return profile
  const left = samples.slice(skipped)
  const hits = new Map<number, number>()
  for (const id of left) hits.set(id, (hits.get(id) ?? 0) + 1)
  const nodes = profile.nodes.map(({ positionTicks = [], ...node }): ProfileNode => {
    const hitCount = hits.get(node.id) ?? 0
    return hitCount === 0 ? { ...node, hitCount } : { ...node, hitCount, positionTicks }
  })
  return { ...profile, nodes, startTime, samples: left, timeDeltas: timeDeltas.slice(skipped) }
}
