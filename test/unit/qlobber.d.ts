/** As much of qlobber's types as its use as an oracle needs: the package brings none. */
declare module 'qlobber' {
  export class Qlobber<T = unknown> {
    constructor(options?: { wildcard_one?: string; wildcard_some?: string; max_wildcard_somes?: number })
    add(pattern: string, value: T): this
    remove(pattern: string, value?: T): this
    match(topic: string): T[]
  }
}
