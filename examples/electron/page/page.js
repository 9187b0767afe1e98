/* What is seen. `training` is what src/preload.cts gives. */
const calls = window.training
const $ = (id) => document.getElementById(id)
let model = ''

function fails(error) {
  // Electron says before it that a remote method was called
  $('error').textContent = error ? error.message.replace(/^Error invoking remote method '\w+': (\w*Error: )?/, '') : ''
  $('error').hidden = !error
}

function told({ type, message, data }) {
  $('job').hidden = false
  if (type !== 'metrics') {
    $('log').append(`${message}\n`)
    return
  }
  if (data.train_loss === undefined) return
  const bar = document.querySelector('progress')
  bar.max = data.total_steps
  bar.value = data.step
  $('status').textContent = `step ${data.step} of ${data.total_steps}, loss ${data.train_loss.toFixed(3)}`
}

/** A job, from its start to its end. */
async function during(work) {
  const button = document.querySelector('#train [type=submit]')
  fails(null)
  button.disabled = true
  $('log').textContent = ''
  try {
    const job = await work((event) => {
      $('cancel').hidden = false
      told(event)
    })
    if (!job) return
    $('status').textContent = job.status
    if (job.error) fails(job.error)
    if (job.fine_tuned_model) model = job.fine_tuned_model
    $('ask').hidden = model === ''
  } catch (error) {
    fails(error)
  } finally {
    button.disabled = false
    $('cancel').hidden = true
  }
}

$('train').addEventListener('submit', (event) => {
  event.preventDefault()
  during((hear) => calls.train($('rows').files[0] ?? null, hear))
})
$('cancel').addEventListener('click', () => calls.cancel().catch(fails))
$('ask').addEventListener('submit', async (event) => {
  event.preventDefault()
  fails(null)
  $('answer').hidden = false
  $('answer').textContent = ''
  // the rows' prompts end with a line's end
  await calls.ask(model, `${$('prompt').value}\n`, (piece) => $('answer').append(piece)).catch(fails)
})
// one that was under way when the app was closed goes on
during((hear) => calls.follow(hear))
