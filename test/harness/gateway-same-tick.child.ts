import { start } from '../../src/assembly/start.ts'
import { loadSettings } from '../../src/config/load.ts'
import { watchSameTick } from './same-tick.ts'

/** The gateway as it is, which says on SIGUSR2 how many of its requests went to their upstream at once. */
const loaded = loadSettings({ file: process.argv.at(-1) ?? '', env: process.env })
if (loaded.kind === 'refused') throw new Error(loaded.findings.map((finding) => finding.code).join(', '))
const upstreams = new Set(loaded.settings.routes.map(({ upstream }) => upstream.origin))
const counts = watchSameTick((origin) => upstreams.has(origin))
let asked = 0
process.on('SIGUSR2', () => process.stdout.write(`same-tick ${JSON.stringify({ asked: (asked += 1), ...counts() })}\n`))
const gateway = await start(loaded.settings, { version: 'test' })
await gateway.stopped
