import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface Mount {
  readonly dir: string
  /** All names at once, as the kubelet and CSI drivers do it: a new folder is filled, and one link is turned to it. */
  put(files: Readonly<Record<string, string | undefined>>): void
}

/** A mounted Secret: `name` leads to `..data/name`, and `..data` to the folder of the moment. A content of undefined takes the name away. */
export const createMount = (dir: string): Mount => {
  mkdirSync(dir, { recursive: true })
  let held: Readonly<Record<string, string>> = {}
  let generation = 0
  return {
    dir,
    put: (files) => {
      const next = Object.fromEntries(Object.entries({ ...held, ...files }).filter((one): one is [string, string] => one[1] !== undefined))
      generation += 1
      const folder = `..${generation}`
      mkdirSync(join(dir, folder))
      for (const [name, text] of Object.entries(next)) {
        mkdirSync(dirname(join(dir, folder, name)), { recursive: true })
        writeFileSync(join(dir, folder, name), text, { mode: 0o600 })
      }
      symlinkSync(folder, join(dir, '..data.new'))
      renameSync(join(dir, '..data.new'), join(dir, '..data'))
      const [before, now] = [topsOf(held), topsOf(next)]
      for (const name of now) if (!before.has(name)) symlinkSync(join('..data', name), join(dir, name))
      for (const name of before) if (!now.has(name)) rmSync(join(dir, name))
      if (generation > 1) rmSync(join(dir, `..${generation - 1}`), { recursive: true })
      held = next
    },
  }
}

const topsOf = (files: Readonly<Record<string, string>>): ReadonlySet<string> =>
  new Set(Object.keys(files).map((name) => name.split('/')[0] ?? ''))
