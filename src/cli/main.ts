import { run } from './run.ts'

const coloured = (stream: { readonly isTTY?: boolean }): boolean =>
  stream.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

// A reader that went away (`| head`) is no failure of ours.
process.stdout.on('error', (error) => {
  if (!('code' in error) || error.code !== 'EPIPE') process.exitCode = 1
})
// Set, not called: process.exit would cut output that a pipe has not taken yet.
process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  columns: process.stdout.columns,
  colours: { out: coloured(process.stdout), err: coloured(process.stderr) },
})
// A start that failed half-way may leave a connection to Redis or a watched folder behind, and they would keep the process. Not waited for if there are none.
setTimeout(() => process.exit(), 1000).unref()
