import { expect, it } from 'vitest'
import { wireFileWatch } from '../../../src/assembly/watched-files.ts'
import type { FileLook } from '../../../src/kernel/file-watch.ts'
import { instant } from '../../../src/kernel/time.ts'
import { manualClock } from '../../harness/clock.ts'
import { recordingLog } from '../../harness/provider-room.ts'

const DAY = 86_400_000

it('looks are counted by setting and outcome, and the end of a certificate is told, with a warning as it comes near', async () => {
  const clock = manualClock()
  const { log, lines } = recordingLog()
  const counts: string[] = []
  const gauges: number[] = []
  const watch = wireFileWatch({
    clock,
    log,
    metrics: {
      count: (name, labels) => void counts.push(`${name} ${Object.values(labels).join(' ')}`),
      gauge: (_name, value) => void gauges.push(value),
      observe: () => {},
    },
  })
  let days = 40
  const notAfter = () => instant(clock.now() + days * DAY)
  watch.add('listen.tls', async (): Promise<FileLook> => ({ outcome: 'unchanged', notAfter: notAfter() }))
  watch.add('provider.ca_file', async () => ({ outcome: 'kept' }))
  await watch.lookAtAll()
  expect(counts.toSorted()).toEqual([
    'sallyport_files_looks_total listen.tls unchanged',
    'sallyport_files_looks_total provider.ca_file kept',
  ])
  expect(gauges).toEqual([notAfter() / 1000])
  for (const left of [29.5, 29.4, 13.5, -0.5, -0.6, 90, 6.5]) {
    days = left
    await watch.lookAtAll()
  }
  // Once for each step, and again for the next certificate.
  expect(lines.map(({ level, facts: { mode, count } }) => `${level} ${mode} ${count}`)).toEqual(
    [29, 13, -1, 6].map((count) => `warn listen.tls ${count}`),
  )
  await watch.stop()
})
