/** A channel over a stream of bytes: batches in frames with a length, and the ports that travel in them relayed beside them. */
import type { Duplex } from 'node:stream'
import { Deserializer, Serializer } from 'node:v8'
import { MessageChannel, MessagePort, type Transferable } from 'node:worker_threads'
import { isTooDeep, tooDeep } from '../nesting.js'
import type { Batch, Channel } from './channel.js'
import { passOn } from './relayed.js'
import { Stint } from './stint.js'
import { assertWeight } from './values/frame-weight.js'
import { platformObjectIn, staysHere } from './values/platform-object.js'

/*
 * A frame: the length of what follows (uint32, little endian), the number of the line it belongs to (uint32), the value as V8 writes it. A
 * frame without a value ends its line. Line 0 carries the batches, line 1 what is told beside them; every port that is sent gets a line of
 * its own, odd numbers by one end, even ones by the other. Large buffers that are moved go before the frame of the value they are in, each
 * in a frame of its own on the last line, as they are, and are put together as they come: to write or read them in one go would hold the
 * kernel's thread for as long as they are large.
 *
 * Node's own `ipc` is not used: bytes that are no JSON, or that look like its own commands, throw in the process that reads them.
 */

/**
 * Bytes of one frame that the kernel takes from a guest, and a guest sends, with those that are moved with it: looked at before anything of
 * it is kept.
 */
export const FRAME_LIMIT = 64 * 1_024 * 1_024
/**
 * What the parts of a value may weigh that comes from a guest, each number 1 and each text and object 4: of one for the kernel, whose
 * events, files and requests are bounded, and of one that passes through, such as a call, by the 32 MiB that one may have.
 */
const OWN_WEIGHT = 1_024 * 1_024
const RELAYED_WEIGHT = 8 * OWN_WEIGHT
/**
 * Bytes that were written to a guest and that it has not read: while there are more, nothing more is read from it, so that it asks for
 * nothing more either.
 */
const MOST_UNREAD = 32 * 1_024 * 1_024
/** Ports in both directions that are not closed: each costs the kernel's process some 6 KB. */
const MAX_LINES = 16_384
/** Ports in one value: a call has one for each argument that is more than data, and each takes its reader longer than all else in it. */
const MOST_PORTS = 256

const BATCHES = 0
const BESIDE = 1
const MOVED = 2 ** 32 - 1
/** A buffer of more bytes goes on that line: smaller ones are copied in no time. */
const LARGE = 64 * 1_024
const LENGTH_BYTES = 4
const HEAD_BYTES = 8
/** As many bytes as an item of a batch may have, for how long one reads. */
const ITEM_BYTES = 8
const weightOf = (line: number): number => (line > BESIDE ? RELAYED_WEIGHT : OWN_WEIGHT)
/** To be overwritten: the writer tells the length last. */
const HEAD = new Uint8Array(HEAD_BYTES)

const uncloneable = (message: string): Error => new DOMException(message, 'DataCloneError')

/** Which end of the stream this is: the kernel believes nothing that comes from a guest. */
export type Side = 'kernel' | 'guest'

/**
 * Node closes a stream at once when a write fails, with what has come and was not read. A guest that dies has said before what of: its
 * stream is read for one more turn of the event loop, and closed then.
 */
const closeAfterReading = (stream: Duplex): void => {
  const { _write: write, _writev: writev } = stream
  const after = (done: () => void) => (error?: Error | null) => {
    if (error) {
      stream.resume()
      setImmediate(() => setImmediate(() => stream.destroy(error)))
    }
    done()
  }
  stream._write = (chunk, encoding, done) => write.call(stream, chunk, encoding, after(done))
  if (writev) stream._writev = (chunks, done) => writev.call(stream, chunks, after(done))
}

class Writer extends Serializer {
  /** The ports met in the value, with the lines they got. */
  readonly ports: [line: number, port: MessagePort][] = []
  /** Why the value cannot cross: found on the way to all of its ports. */
  refused: Error | undefined
  readonly #next: () => number

  constructor(next: () => number) {
    super()
    this.#next = next
  }

  /** Called by V8. */
  _getDataCloneError(message: string): Error {
    return uncloneable(message)
  }

  /** Called by V8 for what is no plain object. */
  _writeHostObject(object: object): void {
    if (!(object instanceof MessagePort)) return this.refuse(object)
    const line = this.#next()
    this.ports.push([line, object])
    this.writeUint32(line)
  }

  /** Called by V8. */
  _getSharedArrayBufferId(buffer: SharedArrayBuffer): number {
    this.refuse(buffer)
    return 0
  }

  refuse(object: object): void {
    this.refused ??= staysHere(object)
  }
}

class Reader extends Deserializer {
  /** The near ends of the ports that came in the value, with their lines. */
  readonly ports: [line: number, port: MessagePort][] = []
  /** The ports as they are in the value. */
  readonly moved: MessagePort[] = []
  readonly #most: number

  /** `most`: ports. */
  constructor(body: Buffer, most: number) {
    super(body)
    this.#most = most
  }

  /** Called by V8. */
  _readHostObject(): MessagePort {
    if (this.ports.length >= this.#most) throw new RangeError(`a value has more than ${this.#most} ports`)
    const { port1, port2 } = new MessageChannel()
    this.ports.push([this.readUint32(), port1])
    this.moved.push(port2)
    return port2
  }
}

/** A buffer of which so many bytes have come. */
interface Coming {
  bytes: Uint8Array<ArrayBuffer>
  length: number
}

export class FramedChannel implements Channel {
  readonly #stream: Duplex
  readonly #side: Side
  readonly #lines = new Map<number, MessagePort>()
  #nextLine: number
  #received: ((batch: Batch) => void) | undefined
  #closed: ((fault?: Error) => void) | undefined
  /** Batches that came before `listen`. */
  readonly #waiting: Batch[] = []
  #sent = 0
  #beside: ((value: unknown) => void) | undefined
  #over = false
  #gone = false
  #fault: Error | undefined

  readonly #stint = new Stint(
    () => this.#rest(this.#stint),
    () => this.#goOn(this.#stint),
  )
  /** For the sake of these nothing more is read now: of what was read in this turn, and of what the other end does not read. */
  readonly #resting = new Set<object>()
  /** Buffers that came, for the value that comes next. */
  #moved: ArrayBuffer[] = []
  #coming: Coming | undefined
  /** What has come and was not read yet. */
  #chunks: Buffer[] = []
  #bytes = 0
  /** Length of the frame that is coming; undefined: not even that has come. */
  #wanted: number | undefined

  constructor(stream: Duplex, side: Side) {
    this.#stream = stream
    this.#side = side
    this.#nextLine = side === 'kernel' ? 2 : 3
    // A broken pipe closes the stream, which is all there is to know.
    stream.on('error', () => {})
    if (side === 'kernel') closeAfterReading(stream)
    // Read from the start, not from `listen` on: ports that were sent may be answered before.
    stream.on('data', (chunk: Buffer) => {
      if (this.#over) return
      this.#chunks.push(chunk)
      this.#bytes += chunk.length
      this.#read()
    })
    stream.once('close', () => {
      // What it said last is heard, and there is little of that.
      this.#resting.clear()
      this.#read()
      this.#end()
      this.#gone = true
      this.#closed?.(this.#fault)
    })
  }

  send(batch: Batch, transfer?: readonly Transferable[]): void {
    if (this.#over) return
    if (!batch.some(isLive)) return this.#write(BATCHES, batch)
    this.#assertReadable(batch)
    const [own, moved] = cloned(batch, transfer)
    this.#write(BATCHES, own, moved.filter(isLarge))
  }

  refusal(leaves: readonly unknown[]): Error | undefined {
    if (!leaves.some(isLive)) return undefined
    const left = platformObjectIn(leaves)
    if (left) return staysHere(left)
    return this.#isReadable(leaves) ? undefined : uncloneable(tooDeep().message)
  }

  /** A part of a frame has come, and its rest has not. */
  get unfinished(): boolean {
    return (this.#bytes > 0 || this.#coming !== undefined || this.#moved.length > 0) && this.#resting.size === 0
  }

  /** Bytes that were written and that the other end has not read. */
  get unread(): number {
    return this.#stream.writableLength
  }

  /** How many frames were sent. */
  get sent(): number {
    return this.#sent
  }

  /** Tells the other end's `beside` something that is no part of the conversation. */
  tell(value: unknown): void {
    if (!this.#over) this.#write(BESIDE, value)
  }

  /** Takes what the other end tells beside the conversation. To be called before `listen`. */
  besides(received: (value: unknown) => void): void {
    this.#beside = received
  }

  listen(received: (batch: Batch) => void, closed: (fault?: Error) => void): void {
    // As for any other channel, nothing arrives within this call.
    queueMicrotask(() => {
      this.#received = received
      this.#closed = closed
      for (const batch of this.#waiting.splice(0)) received(batch)
      if (this.#gone) closed(this.#fault)
    })
  }

  close(): void {
    if (this.#over) return
    this.#end()
    this.#stream.end()
  }

  #end(): void {
    this.#over = true
    this.#chunks = []
    this.#moved = []
    this.#coming = undefined
    for (const port of this.#lines.values()) port.close()
    this.#lines.clear()
  }

  // ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What its reader had no stack for would end its process. */
  #assertReadable(value: unknown): void {
    if (!this.#isReadable(value)) throw uncloneable(tooDeep().message)
  }

  #isReadable(value: unknown): boolean {
    return this.#side !== 'kernel' || !isTooDeep(value, true)
  }

  /** Throws a DataCloneError, and then nothing was sent, and no port in it is open. */
  #write(line: number, value: unknown, moved: readonly ArrayBuffer[] = []): void {
    const writer = new Writer(() => (this.#nextLine += 2) - 2)
    for (const [id, buffer] of moved.entries()) writer.transferArrayBuffer(id, buffer)
    let frame: Buffer
    try {
      frame = this.#frameOf(writer, line, value, bytesIn(moved))
    } catch (error) {
      for (const [, port] of writer.ports) port.close()
      throw error
    }
    for (const [number, port] of writer.ports) this.#relay(number, port)
    for (const buffer of moved) this.#put(Buffer.alloc(HEAD_BYTES), MOVED, Buffer.from(buffer))
    this.#put(frame, line)
  }

  #frameOf(writer: Writer, line: number, value: unknown, moved: number): Buffer {
    writer.writeRawBytes(HEAD)
    writer.writeHeader()
    writer.writeValue(value)
    const left = platformObjectIn(value)
    if (left) writer.refuse(left)
    if (writer.refused) throw writer.refused
    const { length: ports } = writer.ports
    if (ports > MOST_PORTS) throw uncloneable(`To another process no more than ${MOST_PORTS} ports go at once, and these are ${ports}.`)
    if (this.#lines.size + ports > MAX_LINES)
      throw uncloneable(`To one process no more than ${MAX_LINES} ports may be open, and as many are.`)
    const frame = writer.releaseBuffer()
    if (this.#side === 'kernel') return frame
    try {
      assertFits(frame.length - LENGTH_BYTES + moved)
      assertWeight(frame.subarray(HEAD_BYTES), weightOf(line))
    } catch (error) {
      throw uncloneable(`${(error as Error).message}.`)
    }
    return frame
  }

  /** `rest`: of the frame, which is written as it is. */
  #put(frame: Buffer, line: number, rest?: Buffer): void {
    frame.writeUInt32LE(frame.length + (rest?.length ?? 0) - LENGTH_BYTES, 0)
    frame.writeUInt32LE(line, LENGTH_BYTES)
    this.#sent++
    this.#stream.write(frame)
    if (rest !== undefined) this.#stream.write(rest)
    if (this.#side === 'kernel' && this.#stream.writableLength > MOST_UNREAD) this.#holdBack()
  }

  /** Until all of that was read. */
  #holdBack(): void {
    if (this.#resting.has(this.#stream)) return
    this.#rest(this.#stream)
    this.#stream.once('drain', () => this.#goOn(this.#stream))
  }

  /** From now on, what comes out of `port` goes to the other end, and what comes from there goes in. */
  #relay(line: number, port: MessagePort): void {
    this.#lines.set(line, port)
    const on = (value: unknown): void => {
      if (this.#over) return
      this.#assertReadable(value)
      this.#write(line, value)
    }
    port.on('message', (value: unknown) => {
      try {
        on(value)
      } catch (error) {
        // It crosses threads but no process, such as shared memory.
        if (!passOn(value, error, { on, back: (answer) => port.postMessage(answer) })) port.close()
      }
    })
    // As at the end of any other line: what cannot be read ends it.
    port.on('messageerror', () => port.close())
    port.once('close', () => {
      if (this.#lines.delete(line) && !this.#over) this.#put(Buffer.alloc(HEAD_BYTES), line)
    })
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #rest(cause: object): void {
    this.#resting.add(cause)
    this.#stream.pause()
  }

  #goOn(cause: object): void {
    this.#resting.delete(cause)
    if (this.#over || this.#resting.size > 0) return
    this.#read()
    if (this.#resting.size === 0) this.#stream.resume()
  }

  #read(): void {
    try {
      this.#frames()
    } catch (error) {
      this.#fault = error as Error
      this.#end()
      this.#stream.destroy()
    }
  }

  #frames(): void {
    while (!this.#over && this.#resting.size === 0) {
      if (this.#coming !== undefined && !this.#fill(this.#coming)) return
      if (this.#wanted === undefined) {
        if (this.#bytes < HEAD_BYTES) return
        this.#wanted = this.#length()
        if (this.#whole().readUInt32LE(LENGTH_BYTES) === MOVED) {
          this.#expect(this.#wanted + LENGTH_BYTES - HEAD_BYTES)
          continue
        }
      }
      if (this.#bytes < LENGTH_BYTES + this.#wanted) return
      const frame = this.#take(LENGTH_BYTES + this.#wanted)
      this.#wanted = undefined
      this.#stint.begin(frame.length / ITEM_BYTES)
      this.#frame(frame)
      this.#stint.end()
    }
  }

  /** A buffer of so many bytes comes. */
  #expect(size: number): void {
    if (this.#side === 'kernel') {
      if (size <= LARGE) throw new RangeError(`a buffer of ${size} bytes goes in its value`)
      assertFits(bytesIn(this.#moved) + size)
    }
    this.#take(HEAD_BYTES)
    this.#wanted = undefined
    this.#coming = { bytes: new Uint8Array(size), length: 0 }
  }

  /** Whether all of it has come. */
  #fill(coming: Coming): boolean {
    const { bytes } = coming
    while (this.#chunks[0] !== undefined && coming.length < bytes.length) {
      const part = this.#chunks[0].subarray(0, bytes.length - coming.length)
      const rest = this.#chunks[0].subarray(part.length)
      bytes.set(part, coming.length)
      coming.length += part.length
      this.#bytes -= part.length
      if (rest.length === 0) this.#chunks.shift()
      else this.#chunks[0] = rest
    }
    if (coming.length < bytes.length) return false
    this.#moved.push(bytes.buffer)
    this.#coming = undefined
    return true
  }

  #length(): number {
    const length = this.#whole().readUInt32LE(0)
    if (length < HEAD_BYTES - LENGTH_BYTES) throw new RangeError(`a frame of ${length} bytes is none`)
    if (this.#side === 'kernel' && length > FRAME_LIMIT)
      throw new RangeError(`a frame of ${length} bytes is longer than the ${FRAME_LIMIT} that a frame may have`)
    return length
  }

  #whole(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks, this.#bytes)]
    return this.#chunks[0] as Buffer
  }

  #take(count: number): Buffer {
    const all = this.#whole()
    this.#bytes -= count
    this.#chunks = this.#bytes === 0 ? [] : [all.subarray(count)]
    return all.subarray(0, count)
  }

  #frame(frame: Buffer): void {
    const line = frame.readUInt32LE(LENGTH_BYTES)
    const port = this.#lines.get(line)
    if (frame.length === HEAD_BYTES) {
      if (this.#lines.delete(line)) port?.close()
      return
    }
    const body = frame.subarray(HEAD_BYTES)
    if (this.#side === 'kernel') assertWeight(body, weightOf(line))
    // What is told beside the conversation brings none.
    const reader = new Reader(body, line === BESIDE ? 0 : MOST_PORTS)
    for (const [id, buffer] of this.#moved.splice(0).entries()) reader.transferArrayBuffer(id, buffer)
    reader.readHeader()
    const value: unknown = reader.readValue()
    for (const [number, near] of reader.ports) this.#adopt(number, near)
    if (line === BATCHES) this.#receive(value as Batch)
    else if (line === BESIDE) this.#beside?.(value)
    // One that was closed here meanwhile: nobody reads it any more.
    else port?.postMessage(value, reader.moved)
  }

  #receive(batch: Batch): void {
    if (this.#received === undefined || this.#waiting.length > 0) this.#waiting.push(batch)
    else this.#received(batch)
  }

  /** A port that came from the other end. */
  #adopt(line: number, near: MessagePort): void {
    const theirs = line % 2 !== this.#nextLine % 2
    if (!theirs || line <= BESIDE || this.#lines.has(line)) throw new RangeError(`the number ${line} of a port is not valid`)
    if (this.#lines.size >= MAX_LINES) throw new RangeError(`more than ${MAX_LINES} ports are open`)
    this.#relay(line, near)
  }
}

const isLive = (leaf: unknown): boolean => typeof leaf === 'object' || typeof leaf === 'function' || typeof leaf === 'symbol'

const isLarge = ({ byteLength }: ArrayBuffer): boolean => byteLength > LARGE

const bytesIn = (buffers: readonly ArrayBuffer[]): number => buffers.reduce((sum, { byteLength }) => sum + byteLength, 0)

const assertFits = (length: number): void => {
  if (length > FRAME_LIMIT) throw new RangeError(`${length} bytes are more than ${FRAME_LIMIT}`)
}

/**
 * What structured clone makes of the batch, and of the buffers that are moved: it refuses what V8 alone would write down as an empty
 * object, and takes away what is moved.
 */
const cloned = (batch: Batch, transfer: readonly Transferable[] = []): [Batch, ArrayBuffer[]] => {
  const buffers: ArrayBuffer[] = []
  for (const object of transfer) {
    if (object instanceof ArrayBuffer) buffers.push(object)
    else if (!(object instanceof MessagePort)) throw uncloneable(`A ${object.constructor.name} cannot move to another process.`)
  }
  // @types/node and the global disagree on what is transferable; both mean the same objects.
  return structuredClone<[Batch, ArrayBuffer[]]>([batch, buffers], { transfer: transfer as ArrayBuffer[] })
}
