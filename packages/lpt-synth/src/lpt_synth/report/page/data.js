// Reading what the page carries: JSON that is compressed and in base64, and pictures in base64.
// Nothing is asked of a network; texts and pictures are unpacked when they are first needed.

const at = (id) => document.getElementById(id);

function bytesOf(letters) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(letters);
  const raw = atob(letters);
  const bytes = new Uint8Array(raw.length);
  for (let place = 0; place < raw.length; place++) bytes[place] = raw.charCodeAt(place);
  return bytes;
}

async function unpack(id) {
  const stream = new Blob([bytesOf(at(id).textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// The columns of the gallery, as lpt_synth.report.columns writes them; set once, by main.js.
let index;

const pieces = new Map();

function piece(number) {
  if (!pieces.has(number)) {
    pieces.set(number, unpack(`texts-${number}`).then((made) => {
      made.asked = new Map(made.questions.map((row) => [row[0], row]));
      return made;
    }));
  }
  return pieces.get(number);
}

function pieceOf(trace) {
  let low = 0;
  let high = index.pieces.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (index.pieces[middle] <= trace) low = middle;
    else high = middle - 1;
  }
  return low;
}

// The parts of a thought: {thought, cue, continuation, answer, answered}.
async function textsOf(trace) {
  const number = pieceOf(trace);
  const made = await piece(number);
  const row = made.traces[trace - index.pieces[number]];
  const parent = index.traces.parent[trace];
  if (parent < 0) return { thought: row[0], answer: row[1], answered: row[2] };
  const before = made.traces[parent - index.pieces[number]];
  return { thought: before[0], cue: row[0], continuation: row[1], answer: row[2], answered: row[3] };
}

// What a question's thoughts have in common: {text, options, gold, caption, image, type}.
async function questionOf(trace) {
  const question = index.traces.question[trace];
  const row = (await piece(pieceOf(trace))).asked.get(question);
  return {
    text: index.questions.text[question],
    type: index.names.type[index.questions.type[question]],
    image: index.questions.image[question],
    options: row[1],
    gold: row[2],
    caption: row[3],
  };
}

const pictures = new Map();

// An object URL for a picture; the same one whenever it is asked for.
function pictureUrl(image) {
  if (!pictures.has(image)) {
    const lines = imagePiece(Math.floor(image / index.images_in_piece));
    const bytes = bytesOf(lines[image % index.images_in_piece]);
    pictures.set(image, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
  }
  return pictures.get(image);
}

const imagePieces = new Map();

function imagePiece(number) {
  if (!imagePieces.has(number)) imagePieces.set(number, at(`images-${number}`).textContent.split("\n"));
  return imagePieces.get(number);
}

// Everything that can be searched, in small letters, by trace; made when it is first asked for.
let haystacks;

function searchable() {
  haystacks ??= (async () => {
    const found = new Array(index.traces.id.length);
    for (let number = 0; number < index.pieces.length; number++) {
      const { traces } = await piece(number);
      traces.forEach((row, place) => {
        const trace = index.pieces[number] + place;
        const own = row.filter((part) => typeof part === "string").join(" ");
        found[trace] = `${index.questions.text[index.traces.question[trace]]}\n${own}`.toLowerCase();
      });
    }
    return found;
  })();
  return haystacks;
}
