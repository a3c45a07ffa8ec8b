import { crc32, deflateSync, inflateSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { palettePng } from '../../../scripts/palette-png.ts'

const chunk = (type: string, data: Buffer): Buffer => {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const ends = [Buffer.alloc(4), Buffer.alloc(4)] as const
  ends[0].writeUInt32BE(data.length)
  ends[1].writeUInt32BE(crc32(named))
  return Buffer.concat([ends[0], named, ends[1]])
}
const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex')
/** Two pixels wide, one row for each filter of PNG §9.2. */
const HEADER = Buffer.from([0, 0, 0, 2, 0, 0, 0, 5, 8, 2, 0, 0, 0])
const ROWS = [
  [0, 10, 20, 30, 40, 50, 60], // none
  [1, 10, 20, 30, 30, 30, 30], // sub: 10 20 30, 40 50 60
  [2, 0, 0, 0, 0, 0, 1], // up: 10 20 30, 40 50 61
  [3, 5, 10, 15, 20, 25, 31], // average: 10 20 30, 45 60 76
  [4, 0, 0, 0, 0, 0, 0], // paeth: as above
].flat()

it('keeps every pixel of a picture with few colours, whatever filter its rows were written with', () => {
  const small = palettePng(
    Buffer.concat([SIGNATURE, chunk('IHDR', HEADER), chunk('IDAT', deflateSync(Buffer.from(ROWS))), chunk('IEND', Buffer.alloc(0))]),
  )
  const pixels = decode(small)
  expect(pixels).toEqual([
    [0x0a141e, 0x28323c],
    [0x0a141e, 0x28323c],
    [0x0a141e, 0x28323d],
    [0x0a141e, 0x2d3c4c],
    [0x0a141e, 0x2d3c4c],
  ])
})

/** Rows of colours of an indexed picture, two pixels wide. */
const decode = (png: Buffer): number[][] => {
  const parts = new Map<string, Buffer>()
  for (let at = SIGNATURE.length; at < png.length; at += 12 + png.readUInt32BE(at))
    parts.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + png.readUInt32BE(at)))
  expect(parts.get('IHDR')?.[9]).toBe(3) // indexed
  const palette = parts.get('PLTE') ?? Buffer.alloc(0)
  const rows = inflateSync(parts.get('IDAT') ?? Buffer.alloc(0))
  return Array.from({ length: 5 }, (_, y) => [1, 2].map((x) => palette.readUIntBE((rows[y * 3 + x] ?? 0) * 3, 3)))
}
