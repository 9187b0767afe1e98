"""llama.cpp's shared libraries, as scripts beside this one call them."""
import ctypes
import glob
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int32, c_size_t, c_void_p


class Params(ctypes.Structure):
    """Of a model or a context, as llama.cpp fills it: larger than either, and passed on the stack."""

    _fields_ = [("all", ctypes.c_byte * 512)]


class Batch(ctypes.Structure):
    _fields_ = [("count", c_int32), *((name, c_void_p) for name in ("token", "embd", "pos", "n_seq_id", "seq_id", "logits"))]


class Model:
    """A GGUF file, opened."""

    def __init__(self, llama, path):
        self.llama = llama
        self.handle = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
        assert self.handle, path
        self.vocab = llama.llama_model_get_vocab(self.handle)
        self.tokens = llama.llama_vocab_n_tokens(self.vocab)

    def ids(self, text, special):
        """special: are the file's own tokens added, as before a text that is none of a chat template's?"""
        raw = text.encode()
        ids = (c_int32 * (len(raw) + 8))()
        count = self.llama.llama_tokenize(self.vocab, raw, len(raw), ids, len(ids), special, True)
        assert count > 0, (count, text)
        return list(ids[:count])

    def text(self, ids):
        """of ids, the file's special tokens left out"""
        parts = []
        for id in ids:
            piece = ctypes.create_string_buffer(256)
            length = self.llama.llama_token_to_piece(self.vocab, id, piece, len(piece), 0, False)
            parts.append(piece.raw[:length])
        return b"".join(parts).decode()

    def context(self, threads):
        context = self.llama.llama_init_from_model(self.handle, self.llama.llama_context_default_params())
        assert context
        self.llama.llama_set_n_threads(context, threads, threads)
        return context

    def forget(self, context):
        """what it has read, before another text"""
        self.llama.llama_memory_clear(self.llama.llama_get_memory(context), True)

    def read(self, context, ids):
        """logits after each of the ids, as one pointer to them"""
        tokens, every = (c_int32 * len(ids))(*ids), (ctypes.c_int8 * len(ids))(*[1] * len(ids))
        batch = Batch(len(ids), ctypes.cast(tokens, c_void_p), None, None, None, None, ctypes.cast(every, c_void_p))
        assert self.llama.llama_decode(context, batch) == 0
        return self.llama.llama_get_logits(context)

    def ends(self, id):
        return self.llama.llama_vocab_is_eog(self.vocab, id)


def load(folder):
    """FOLDER: of libggml* and libllama*"""
    for pattern in ("libggml-base*", "libggml.*", "libllama.*"):
        for path in glob.glob(f"{folder}/{pattern}"):
            library = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
            if "libggml." in path:
                library.ggml_backend_load_all_from_path(folder.encode())
    for name, result, arguments in (
        ("llama_model_default_params", Params, []),
        ("llama_context_default_params", Params, []),
        ("llama_model_load_from_file", c_void_p, [c_char_p, Params]),
        ("llama_init_from_model", c_void_p, [c_void_p, Params]),
        ("llama_free", None, [c_void_p]),
        ("llama_get_memory", c_void_p, [c_void_p]),
        ("llama_memory_clear", None, [c_void_p, c_bool]),
        ("llama_model_get_vocab", c_void_p, [c_void_p]),
        ("llama_vocab_n_tokens", c_int32, [c_void_p]),
        ("llama_vocab_is_eog", c_bool, [c_void_p, c_int32]),
        ("llama_tokenize", c_int32, [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool]),
        ("llama_token_to_piece", c_int32, [c_void_p, c_int32, c_char_p, c_int32, c_int32, c_bool]),
        ("llama_set_n_threads", None, [c_void_p, c_int32, c_int32]),
        ("llama_decode", c_int32, [c_void_p, Batch]),
        ("llama_get_logits", POINTER(c_float), [c_void_p]),
        ("llama_adapter_lora_init", c_void_p, [c_void_p, c_char_p]),
        ("llama_set_adapters_lora", c_int32, [c_void_p, POINTER(c_void_p), c_size_t, POINTER(c_float)]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
