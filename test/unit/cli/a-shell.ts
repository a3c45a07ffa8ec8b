import { run } from '../../../src/cli/run.ts'

/** Runs a command as a process would, with nothing of this process in it. */
export const shell = async (argv: readonly string[], env: Readonly<Record<string, string>> = {}, coloured = false) => {
  let out = ''
  let err = ''
  const code = await run(argv, {
    env,
    out: (text) => {
      out += text
    },
    err: (text) => {
      err += text
    },
    colours: { out: coloured, err: coloured },
  })
  return { code, out, err }
}
