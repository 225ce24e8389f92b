//go:build linux && (amd64 || arm64) && !static

package dkim

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// libcrypto holds the functions of OpenSSL 3 that are used, named as there. None
// keeps a pointer it is given beyond the call. Handles of C objects are uintptr, as
// the garbage collector has no business with them.
type libcrypto struct {
	openSSLVersion func(what int32) string
	errGetError    func() uint64
	errErrorString func(code uint64, buf *byte, size uintptr)
	errClearError  func()

	bioNewMemBuf     func(buf *byte, size int32) uintptr
	bioFree          func(bio uintptr) int32
	d2iPrivateKeyBIO func(bio uintptr, into uintptr) uintptr
	pkeyFree         func(pkey uintptr)

	sha256         func() uintptr
	ctxNew         func(pkey, engine uintptr) uintptr
	ctxFree        func(ctx uintptr)
	signInit       func(ctx uintptr) int32
	setRSAPadding  func(ctx uintptr, padding int32) int32
	setSignatureMD func(ctx, md uintptr) int32
	sign           uintptr // EVP_PKEY_sign, called for every mail, thus without reflection
}

// openLibcrypto returns the engine that is libcrypto, not tried yet.
func openLibcrypto() (*Engine, error) {
	lib, err := bindLibcrypto()
	if err != nil {
		return nil, err
	}
	const versionString = 6 // OPENSSL_VERSION_STRING: "3.0.19"
	return &Engine{name: "libcrypto " + lib.openSSLVersion(versionString), load: lib.load}, nil
}

// bindLibcrypto opens the library and finds the functions. It is never closed: its
// threads' clean-up functions must stay in memory.
func bindLibcrypto() (*libcrypto, error) {
	handle, err := purego.Dlopen("libcrypto.so.3", purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("open libcrypto.so.3: %w", err)
	}
	lib := &libcrypto{}
	for _, f := range []struct {
		name string
		into any
	}{
		{"OpenSSL_version", &lib.openSSLVersion},
		{"ERR_get_error", &lib.errGetError},
		{"ERR_error_string_n", &lib.errErrorString},
		{"ERR_clear_error", &lib.errClearError},
		{"BIO_new_mem_buf", &lib.bioNewMemBuf},
		{"BIO_free", &lib.bioFree},
		{"d2i_PrivateKey_bio", &lib.d2iPrivateKeyBIO},
		{"EVP_PKEY_free", &lib.pkeyFree},
		{"EVP_sha256", &lib.sha256},
		{"EVP_PKEY_CTX_new", &lib.ctxNew},
		{"EVP_PKEY_CTX_free", &lib.ctxFree},
		{"EVP_PKEY_sign_init", &lib.signInit},
		{"EVP_PKEY_CTX_set_rsa_padding", &lib.setRSAPadding},
		{"EVP_PKEY_CTX_set_signature_md", &lib.setSignatureMD},
		{"EVP_PKEY_sign", &lib.sign},
	} {
		address, err := purego.Dlsym(handle, f.name)
		if err != nil {
			return nil, fmt.Errorf("libcrypto.so.3: %w", err)
		}
		if plain, ok := f.into.(*uintptr); ok {
			*plain = address
		} else {
			purego.RegisterFunc(f.into, address)
		}
	}
	return lib, nil
}

// evpKey is an EVP_PKEY, shared by all, with its EVP_PKEY_CTXs, each used by one
// goroutine at a time.
type evpKey struct {
	lib    *libcrypto
	pkey   uintptr
	public *rsa.PublicKey
	ready  sync.Pool // of *evpContext
}

// evpContext is an EVP_PKEY_CTX set to PKCS #1 v1.5 over SHA-256. It may sign any
// number of times. It holds a reference to its key within libcrypto.
type evpContext struct{ ctx uintptr }

// load hands a private key to libcrypto. What it allocates there is freed when the
// signer is garbage.
func (lib *libcrypto) load(private *rsa.PrivateKey) (crypto.Signer, error) {
	der := x509.MarshalPKCS1PrivateKey(private)
	defer clear(der)
	var pkey uintptr
	err := lib.do(func() error {
		// A BIO spares d2i_AutoPrivateKey's pointer to a pointer into Go memory.
		bio := lib.bioNewMemBuf(&der[0], int32(len(der)))
		if bio == 0 {
			return errors.New("BIO_new_mem_buf")
		}
		defer lib.bioFree(bio)
		if pkey = lib.d2iPrivateKeyBIO(bio, 0); pkey == 0 {
			return errors.New("d2i_PrivateKey_bio")
		}
		return nil
	})
	runtime.KeepAlive(der) // the BIO pointed at it
	if err != nil {
		return nil, err
	}
	key := &evpKey{lib: lib, pkey: pkey, public: &private.PublicKey}
	runtime.AddCleanup(key, lib.pkeyFree, pkey)
	return key, nil
}

// Public returns the *rsa.PublicKey.
func (k *evpKey) Public() crypto.PublicKey { return k.public }

// Sign returns the signature of a SHA-256 digest. Key.Sign has checked that it is one.
func (k *evpKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	signature := make([]byte, k.public.Size())
	size := uintptr(len(signature))
	err := k.lib.do(func() error {
		context, err := k.context()
		if err != nil {
			return err
		}
		// SyscallN keeps what its arguments point at on the heap and alive.
		ok, _, _ := purego.SyscallN(k.lib.sign, context.ctx,
			uintptr(unsafe.Pointer(&signature[0])), uintptr(unsafe.Pointer(&size)),
			uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)))
		runtime.KeepAlive(context)
		if int32(ok) != 1 || size != uintptr(len(signature)) {
			return errors.New("EVP_PKEY_sign") // and the context is not used again
		}
		k.ready.Put(context)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return signature, nil
}

// context returns a context that nobody uses.
func (k *evpKey) context() (*evpContext, error) {
	if context, ok := k.ready.Get().(*evpContext); ok {
		return context, nil
	}
	const pkcs1Padding = 1 // RSA_PKCS1_PADDING
	lib := k.lib
	context := &evpContext{ctx: lib.ctxNew(k.pkey, 0)}
	runtime.KeepAlive(k)
	if context.ctx == 0 {
		return nil, errors.New("EVP_PKEY_CTX_new")
	}
	runtime.AddCleanup(context, lib.ctxFree, context.ctx)
	switch {
	case lib.signInit(context.ctx) != 1:
		return nil, errors.New("EVP_PKEY_sign_init")
	case lib.setRSAPadding(context.ctx, pkcs1Padding) != 1:
		return nil, errors.New("EVP_PKEY_CTX_set_rsa_padding")
	case lib.setSignatureMD(context.ctx, lib.sha256()) != 1:
		return nil, errors.New("EVP_PKEY_CTX_set_signature_md")
	}
	runtime.KeepAlive(context)
	return context, nil
}

// do runs f, whose error is the name of the function that failed, and adds what
// libcrypto says about it. Its errors are queued per thread, so f stays on one, and
// the queue is left empty.
func (lib *libcrypto) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := f()
	if err == nil {
		return nil
	}
	defer lib.errClearError()
	code := lib.errGetError()
	if code == 0 {
		return err
	}
	var text [256]byte
	lib.errErrorString(code, &text[0], uintptr(len(text)))
	n := 0
	for n < len(text) && text[n] != 0 {
		n++
	}
	return fmt.Errorf("%w: %s", err, text[:n])
}
