/** What the system says of its processors, where it tells nothing of a thread: nobody lacks one while another has nothing to do. */
import { cpus } from 'node:os'

/** Milliseconds for which each has had nothing to do; none where the system does not say, as Linux without a free descriptor. */
export const idleTimes = (): readonly number[] => cpus().map(({ times }) => times.idle)
