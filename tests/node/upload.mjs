// tus-js-client sends a file to an address that exists already, and goes on after
// every break. The address and the token come by the environment: a token in the
// arguments could be read by everybody on the machine.
//
//   UPLOAD_URL=… UPLOAD_TOKEN=… node upload.mjs FILE CHUNK_BYTES
//
// The last line is JSON: where it began, where it ended, how often it tried again.
import { createReadStream } from 'node:fs'
import { Upload } from 'tus-js-client'

const [path, chunk] = process.argv.slice(2)
let began = null
let ended = null
let retries = 0
const upload = new Upload(createReadStream(path), {
  uploadUrl: process.env.UPLOAD_URL,
  headers: { Authorization: `Bearer ${process.env.UPLOAD_TOKEN}` },
  chunkSize: Number(chunk),
  retryDelays: Array(20).fill(50),
  storeFingerprintForResuming: false,
  onAfterResponse(request, response) {
    if (request.getMethod() === 'HEAD') began ??= Number(response.getHeader('Upload-Offset'))
  },
  onChunkComplete(_size, accepted) {
    ended = accepted
  },
  onShouldRetry(error) {
    // An answer with 4xx means that the server wants something else; but 409, that
    // a request of before the break came late, after this one had asked.
    const status = error.originalResponse?.getStatus() ?? 0
    if (status >= 400 && status < 500 && status !== 409) return false
    retries += 1
    return true
  },
  onError(error) {
    console.error(String(error))
    process.exitCode = 1
  },
  onSuccess() {
    console.log(JSON.stringify({ began, ended, retries }))
  },
})
upload.start()
