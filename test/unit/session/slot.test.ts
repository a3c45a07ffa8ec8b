import { expect, it } from 'vitest'
import { slotOf } from '../../../src/session/slot.ts'

// CLUSTER KEYSLOT of Redis 7.0
it.each`
  key                          | slot     | because
  ${'foo'}                     | ${12182} | ${'the whole name'}
  ${'123456789'}               | ${12739} | ${'the check value of CRC16/XMODEM, 0x31C3'}
  ${'{user1000}.following'}    | ${3443}  | ${'what stands in braces'}
  ${'{user1000}.followers'}    | ${3443}  | ${'the same braces'}
  ${'foo{}{bar}'}              | ${8363}  | ${'empty first braces count as none'}
  ${'foo{{bar}}zap'}           | ${4015}  | ${'up to the first closing brace'}
  ${'foo{bar}{zap}'}           | ${5061}  | ${'the first braces'}
  ${'sallyport:session:{a.b}'} | ${1366}  | ${'a key of ours'}
`('$key lies in slot $slot: $because', ({ key, slot }: { key: string; slot: number }) => {
  expect(slotOf(key)).toBe(slot)
})
