import type { TestProject } from 'vitest/node'
import { findChromium } from './chromium-program.ts'
import type { Program } from './debs.ts'
import './provided.ts'

const say = (line: string): void => void process.stdout.write(`[chromium] ${line}\n`)

/** Vitest global set-up of the browser group. */
export default function setup(project: TestProject): void {
  let found: Program | undefined
  try {
    found = findChromium()
    say(`using ${found.how}`)
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : 'unknown'
    const line = `NO BROWSER: tests that need one are SKIPPED. Install chromium or set CHROMIUM_PATH. (${why})`
    if (process.env['CI']) throw new Error(line)
    say(line)
  }
  project.provide('chromium', found ?? null)
}
